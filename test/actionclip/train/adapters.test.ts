// Adapters in a model: a start without effect, ST-Adapters by hand and by differences, and what training moves.
import { type Device, Generator, openDevice, setDefaultDevice, type Tensor, tensor } from '@actionclip/tensor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ActionCLIP } from '../../../packages/actionclip/src/model/action-clip.ts';
import {
  type AdapterOptions,
  isAdapter,
  isLora,
  isSpatioTemporal,
} from '../../../packages/actionclip/src/model/adapters.ts';
import { SpatioTemporalAdapter } from '../../../packages/actionclip/src/model/st-adapter.ts';
import { type ConfigOverrides, configFrom } from '../../../packages/actionclip/src/train/config-file.ts';
import { frozenParts } from '../../../packages/actionclip/src/train/freezing.ts';
import { optimizerOf } from '../../../packages/actionclip/src/train/optimization.ts';
import { readMeasures, trainingStep } from '../../../packages/actionclip/src/train/step.ts';
import { bytesOf } from '../../end-to-end/tiny-run.ts';
import { reference, use } from '../../tensor/devices.ts';
import { checkGradient, weights } from '../../tensor/finite-difference.ts';

const sizes = {
  embedding: 8,
  vision: { resolution: 8, patch: 4, width: 8, layers: 2, heads: 2 },
  text: { context: 6, vocabulary: 20, width: 8, layers: 1, heads: 2 },
};
const [batch, frames] = [4, 3];

const lora = (more: Partial<Extract<AdapterOptions, { kind: 'lora' }>> = {}): AdapterOptions => ({
  kind: 'lora',
  rank: 2,
  alpha: 4,
  layers: ['in_proj', 'out_proj', 'c_fc', 'c_proj'],
  towers: ['image', 'text'],
  ...more,
});
const spatioTemporal: AdapterOptions = { kind: 'st-adapter', channels: 4 };

const modelOf = (adapter?: AdapterOptions): ActionCLIP =>
  new ActionCLIP({ sizes, frames, temporalLayers: 1, generator: new Generator(3), ...(adapter ? { adapter } : {}) });

const clips = (): Tensor =>
  tensor(
    Float32Array.from({ length: batch * frames * 3 * 64 }, (_, i) => Math.sin(i * 0.37)),
    {
      shape: [batch, frames, 3, 8, 8],
    },
  );
const texts = (): Tensor =>
  tensor(
    Int32Array.from({ length: batch * 6 }, (_, i) => (i % 6 === 5 ? 19 : (i * 7) % 17)),
    { shape: [batch, 6] },
  );

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1, engineFlags: false });
  setDefaultDevice(device);
});
afterAll(() => device.close());

describe.each([
  ['LoRA', lora()],
  ['ST-Adapter', spatioTemporal],
])('a model with %s', (_, adapter) => {
  it('has the parameters of the plain one of its seed, and at the start its features to the bit', async () => {
    const [plain, adapted] = [modelOf().eval(), modelOf(adapter).eval()];
    const [own, all] = [await plain.stateDict(), await adapted.stateDict()];
    expect(bytesOf(new Map([...all].filter(([name]) => own.has(name))))).toEqual(bytesOf(own));
    const added = [...all.keys()].filter((name) => !own.has(name));
    expect(added.length).toBeGreaterThan(0);
    expect(added.every(adapter.kind === 'lora' ? isLora : isSpatioTemporal)).toBe(true);
    for (const features of [
      (model: ActionCLIP) => model.encodeVideo(clips()),
      (model: ActionCLIP) => model.encodeText(texts()),
    ])
      expect(Array.from(await features(adapted).data())).toEqual(Array.from(await features(plain).data()));
  });
});

/** Two steps at a high rate, and what they have moved. */
async function twoSteps(network: ConfigOverrides, layout: 'separate' | 'flat' = 'separate') {
  const { config } = configFrom({ data: { label_list: 'l' }, network, solver: { lr: 1e-2 } });
  const model = modelOf(config.network.adapter);
  await model.train().initialize();
  const before = bytesOf(await model.stateDict());
  const optimizer = optimizerOf(model, config.solver, { layout }, frozenParts(config.network));
  await model.initialize();
  const step = trainingStep(model, optimizer, config.network);
  const labels = tensor(Int32Array.from([0, 1, 2, 1]));
  for (let i = 0; i < 2; i++) await readMeasures(await step(clips(), texts(), labels));
  const after = bytesOf(await model.stateDict());
  const state = [...(await optimizer.stateDict())].filter(([name]) => name.includes('.exp_avg'));
  return {
    after,
    moved: Object.keys(before).filter((name) => before[name] !== after[name]),
    state: state.reduce((sum, [, { data }]) => sum + data.byteLength, 0),
    bytes: step.stats().peakBytes,
    dispatches: step.stats().dispatches,
  };
}

const kinds = (names: readonly string[]): string[] =>
  [
    ...new Set(
      names.map((name) =>
        name === 'logit_scale'
          ? 'scale'
          : name.startsWith('fusion.')
            ? 'temporal'
            : isLora(name)
              ? `LoRA of the ${name.startsWith('visual.') ? 'image' : 'text'} tower`
              : isSpatioTemporal(name)
                ? 'ST-Adapter'
                : 'CLIP',
      ),
    ),
  ].sort();

describe('training with network.adapter', () => {
  it('moves the adapters, the temporal prompt and the logit scale alone, with less state, memory and work', async () => {
    const all = await twoSteps({});
    expect(kinds(all.moved)).toEqual(['CLIP', 'scale', 'temporal']);
    const adapted = await twoSteps({ adapter: 'lora', lora: { rank: 1 } });
    expect(kinds(adapted.moved)).toEqual(['LoRA of the image tower', 'LoRA of the text tower', 'scale', 'temporal']);
    expect(adapted.state).toBeLessThan(0.6 * all.state);
    expect(adapted.bytes).toBeLessThan(all.bytes);
    const bottlenecks = await twoSteps({ adapter: 'st-adapter', st_adapter: { channels: 2 } });
    expect(kinds(bottlenecks.moved)).toEqual(['ST-Adapter', 'scale', 'temporal']);
    expect(bottlenecks.state).toBeLessThan(0.6 * all.state);
  });

  it.each(['lora', 'st-adapter'])(
    'gives with %s in flat storage what it gives in separate tensors',
    async (adapter) => {
      const [separate, flat] = [await twoSteps({ adapter }), await twoSteps({ adapter }, 'flat')];
      expect(flat.moved).toEqual(separate.moved);
      const values = (bytes = ''): number[] => [
        ...new Float32Array(Uint8Array.from(Buffer.from(bytes, 'base64')).buffer),
      ];
      for (const name of separate.moved) {
        const expected = values(separate.after[name]);
        values(flat.after[name]).forEach((value, i) => {
          expect(value, name).toBeCloseTo(expected[i] ?? Number.NaN, 5);
        });
      }
    },
  );

  it('does no backward work in a tower without adapters', async () => {
    const both = await twoSteps({ adapter: 'lora' });
    const image = await twoSteps({ adapter: 'lora', lora: { towers: ['image'] } });
    expect(kinds(image.moved)).toEqual(['LoRA of the image tower', 'scale', 'temporal']);
    expect(image.dispatches).toBeLessThan(both.dispatches);
  });

  it('goes with train_only, which leaves the adapters of one tower, and with activation checkpointing', async () => {
    const image = await twoSteps({ adapter: 'lora', lora: { towers: ['image'] }, train_only: 'image' });
    expect(kinds(image.moved)).toEqual(['LoRA of the image tower', 'scale']);
    const { moved } = await twoSteps({ adapter: 'st-adapter', checkpoint: true });
    expect(kinds(moved)).toEqual(['ST-Adapter', 'scale', 'temporal']);
  });
});

/** An ST-Adapter with these parameters. */
const adapterWith = (width: number, channels: number, parameters: readonly Tensor[]): SpatioTemporalAdapter => {
  const adapter = new SpatioTemporalAdapter(width, channels, new Generator(0));
  const [fc1, fc1Bias, conv, convBias, fc2, fc2Bias] = parameters;
  Object.assign(adapter.fc1, { weight: fc1, bias: fc1Bias });
  Object.assign(adapter.conv, { weight: conv, bias: convBias });
  Object.assign(adapter.fc2, { weight: fc2, bias: fc2Bias });
  return adapter;
};

const [width, channels, length] = [3, 2, 3];
const shapes = [
  [2 * frames, length, width],
  [channels, width],
  [channels],
  [channels, 1, 3, 1, 1],
  [channels],
  [width, channels],
  [width],
];

describe('an ST-Adapter', () => {
  it('is a bottleneck with a convolution over the frames of each patch, and leaves the class token', async () => {
    const [x, down, downBias, taps, tapBias, up, upBias] = shapes.map((shape, i) => weights(shape, i)) as NaiveArrays;
    const inputs = [x, down, downBias, taps, tapBias, up, upBias].map(({ data, shape }) =>
      tensor(Float32Array.from(data), { shape: [...shape] }),
    ) as [Tensor, ...Tensor[]];
    const [tokens, ...parameters] = inputs;
    const given = await adapterWith(width, channels, parameters).forward(tokens, frames).data();
    const token = (row: number, place: number, i: number): number => x.data[(row * length + place) * width + i] ?? 0;
    /** A channel of the bottleneck; zero beyond the first and the last frame. */
    const inner = (clip: number, frame: number, place: number, channel: number): number => {
      if (frame < 0 || frame >= frames) return 0;
      let sum = downBias.data[channel] ?? 0;
      for (let i = 0; i < width; i++)
        sum += (down.data[channel * width + i] ?? 0) * token(clip * frames + frame, place, i);
      return sum;
    };
    for (let row = 0; row < 2 * frames; row++)
      for (let place = 0; place < length; place++)
        for (let i = 0; i < width; i++) {
          const [clip, frame] = [Math.floor(row / frames), row % frames];
          let expected = token(row, place, i) + (place === 0 ? 0 : (upBias.data[i] ?? 0));
          for (let channel = 0; place > 0 && channel < channels; channel++) {
            let mixed = tapBias.data[channel] ?? 0;
            for (let tap = 0; tap < 3; tap++)
              mixed += (taps.data[channel * 3 + tap] ?? 0) * inner(clip, frame + tap - 1, place, channel);
            expected += (up.data[i * channels + channel] ?? 0) * mixed;
          }
          expect(given[(row * length + place) * width + i]).toBeCloseTo(expected, 5);
        }
  });

  it('has the gradients of finite differences', async () => {
    const exact = await use(reference);
    await checkGradient(
      'ST-Adapter',
      (tokens, ...parameters) => adapterWith(width, channels, parameters).forward(tokens, frames),
      shapes.map((shape, i) => weights(shape, i)),
    );
    await exact.close();
    setDefaultDevice(device);
  });
});

type NaiveArrays = [
  ReturnType<typeof weights>,
  ReturnType<typeof weights>,
  ReturnType<typeof weights>,
  ReturnType<typeof weights>,
  ReturnType<typeof weights>,
  ReturnType<typeof weights>,
  ReturnType<typeof weights>,
];

describe('a description of an adapter from outside', () => {
  it.each([
    [lora(), true],
    [spatioTemporal, true],
    [{ kind: 'lora', rank: 2, alpha: 4, layers: [], towers: ['image'] }, false],
    [{ kind: 'lora', rank: 2, alpha: 4, layers: ['ln_1'], towers: ['image'] }, false],
    [{ kind: 'lora', rank: 1.5, alpha: 4, layers: ['c_fc'], towers: ['image'] }, false],
    [{ kind: 'lora', rank: 2, alpha: Number.POSITIVE_INFINITY, layers: ['c_fc'], towers: ['image'] }, false],
    [{ kind: 'st-adapter', channels: 0 }, false],
    [{ kind: 'prefix', channels: 4 }, false],
    ['lora', false],
    [null, false],
  ])('%j is one: %s', (value, expected) => expect(isAdapter(value)).toBe(expected));
});
