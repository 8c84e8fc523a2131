/** Weights and device: what a person chose, and what runs. */
import type { DeviceChoice, DeviceReport, ModelReport, VideoReport, WeightsChoice } from '../protocol.ts';
import { byId, element, megabytes } from './dom.ts';

export interface EngineEvents {
  readonly device: (choice: DeviceChoice) => void;
  readonly weights: (choice: WeightsChoice) => void;
}

const isDeviceChoice = (value: string): value is DeviceChoice =>
  ['auto', 'webgpu', 'wasm-threads', 'wasm-single'].includes(value);

export class EnginePanel {
  readonly #facts = byId('facts', HTMLDListElement);
  readonly #choose: (choice: WeightsChoice) => void;
  readonly #known: { device?: DeviceReport; model?: ModelReport; video?: VideoReport } = {};

  /** @param shipped The weights that come with the page. */
  constructor(shipped: WeightsChoice, events: EngineEvents) {
    const device = byId('device', HTMLSelectElement);
    const threads = device.querySelector<HTMLOptionElement>('option[value="wasm-threads"]');
    if (threads !== null) threads.disabled = !globalThis.crossOriginIsolated;
    const gpu = device.querySelector<HTMLOptionElement>('option[value="webgpu"]');
    if (gpu !== null) gpu.disabled = !('gpu' in navigator);
    device.addEventListener('change', () => {
      if (isDeviceChoice(device.value)) events.device(device.value);
    });

    const input = byId('weights-input', HTMLInputElement);
    const name = byId('weights-name', HTMLElement);
    const back = byId('shipped-weights', HTMLButtonElement);
    this.#choose = (weights) => {
      name.textContent = weights.name;
      back.hidden = weights === shipped;
      events.weights(weights);
    };
    name.textContent = shipped.name;
    input.addEventListener('change', () => {
      const [file] = input.files ?? [];
      if (file !== undefined) this.#choose({ name: file.name, blob: file });
      input.value = '';
    });
    back.addEventListener('click', () => {
      this.#choose(shipped);
      input.focus();
    });
  }

  /** Takes weights as a person does. */
  choose(weights: WeightsChoice): void {
    this.#choose(weights);
  }

  showDevice(device: DeviceReport): void {
    this.#known.device = device;
    this.#draw();
  }

  showModel(model: ModelReport): void {
    this.#known.model = model;
    this.#draw();
  }

  showVideo(video: VideoReport): void {
    this.#known.video = video;
    this.#draw();
  }

  #draw(): void {
    const { device, model, video } = this.#known;
    const facts = [
      ...(model === undefined ? [] : modelFacts(model)),
      ...(device === undefined ? [] : deviceFacts(device)),
      ...(video === undefined ? [] : videoFacts(video)),
    ];
    this.#facts.replaceChildren(
      ...facts.map(([term, value]) => element('div', {}, element('dt', {}, term), element('dd', {}, value))),
    );
  }
}

type Fact = readonly [term: string, value: string];

const modelFacts = ({ parameters, frames, inputSize, temporal, layout }: ModelReport): Fact[] => [
  ['Model', `${parameters.toLocaleString('en')} parameters, ${temporal}; layout ${layout}`],
  ['Clip', `${frames} frames of ${inputSize} × ${inputSize}`],
];

const deviceFacts = ({ name, description, features }: DeviceReport): Fact[] => [
  ['Device', name === 'webgpu' ? `WebGPU on ${description}` : description],
  ...(features.length === 0 ? [] : [['Features', features.join(', ')] as const]),
];

function videoFacts({ clips, milliseconds, modelMilliseconds, compiled, peakBytes }: VideoReport): Fact[] {
  const each = `${(modelMilliseconds / clips).toFixed(1)} ms per clip`;
  const counted = `${clips} ${clips === 1 ? 'clip' : 'clips'}`;
  return [
    ['Model time', `${each}, ${counted}${compiled ? '; the first time, with compiling' : ''}`],
    ['Whole video', `${milliseconds.toFixed(0)} ms with decoding`],
    ['Device memory', `${megabytes(peakBytes)} at most`],
  ];
}
