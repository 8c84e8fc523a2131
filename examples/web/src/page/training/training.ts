/** The training tab: clips that a person shows, a temporal head trained on them in the worker, and what came of it. */
import { cleanLabels } from 'actionclip/browser';
import type { ModelReport, Progress, WeightsChoice } from '../../protocol.ts';
import { CameraError } from '../camera.ts';
import { byId } from '../dom.ts';
import { labelsIn, reasonOf } from '../labels.ts';
import type { Recognition } from '../recognition.ts';
import { CallError } from '../worker-client.ts';
import { Clips, mostClips, mostLabels } from './clips.ts';
import { Curves } from './curves.ts';
import { LabelRows } from './label-rows.ts';
import { Recorder, RecordingStopped } from './recorder.ts';
import { TrainingSettings } from './settings.ts';
import { type Trained, TrainedPanel } from './trained.ts';

/** What the tab is doing, if anything: nothing else begins meanwhile. */
type Activity = 'recording' | 'reading' | 'training';

/** Starts the tab. What it gives is told when a person leaves the tab. */
export function startTraining(recognition: Recognition): { readonly leave: () => void } {
  const parts = {
    base: byId('train-base', HTMLElement),
    other: byId('train-other', HTMLElement),
    otherReason: byId('train-other-reason', HTMLElement),
    form: byId('train-label-form', HTMLFormElement),
    input: byId('train-label-input', HTMLInputElement),
    note: byId('train-label-note', HTMLElement),
    count: byId('clip-count', HTMLElement),
    seconds: byId('train-seconds', HTMLSelectElement),
    countdown: byId('train-countdown', HTMLSelectElement),
    cancel: byId('train-cancel', HTMLButtonElement),
    clipsFailure: byId('train-clips-failure', HTMLElement),
    lack: byId('train-lack', HTMLElement),
    start: byId('train-start', HTMLButtonElement),
    stop: byId('train-stop', HTMLButtonElement),
    status: byId('train-status', HTMLElement),
    working: byId('train-working', HTMLElement),
    progress: byId('train-progress', HTMLProgressElement),
    activity: byId('train-activity', HTMLElement),
    done: byId('train-done', HTMLElement),
    failure: byId('train-failure', HTMLElement),
  };
  const clips = new Clips();
  const curves = new Curves();
  const settings = new TrainingSettings();
  let model: ModelReport | undefined;
  let weights: WeightsChoice | undefined;
  /** The weights whose towers have seen the clips. */
  let seenBy: WeightsChoice | undefined;
  /** What a trained model was made of: its towers are the same. */
  const madeOf = new WeakMap<WeightsChoice, WeightsChoice>();
  let activity: Activity | undefined;
  /** Ends what is under way. */
  let wanted = new AbortController();
  let trained: Trained | undefined;
  /** Whether clips would be lost for good that no downloaded model has learnt from. */
  let isUnsaved = false;

  const recorder = new Recorder((problem) => say(parts.clipsFailure, problem));
  const rows = new LabelRows({
    record: (label, times) => void record(label, times),
    files: (label, files) => void read(label, files),
    removeClip: (id) => change(() => clips.remove(id)),
    removeLabel: (label) => change(() => clips.removeLabel(label)),
  });
  const result = new TrainedPanel(use, () => {
    isUnsaved = false;
  });

  parts.form.addEventListener('submit', (event) => {
    event.preventDefault();
    const { labels } = cleanLabels(labelsIn(parts.input.value));
    parts.input.value = '';
    void addLabels(labels);
  });
  parts.start.addEventListener('click', () => void train());
  parts.stop.addEventListener('click', () => wanted.abort());
  parts.cancel.addEventListener('click', () => {
    wanted.abort();
    recorder.giveUp();
  });
  byId('train-remove-clips', HTMLButtonElement).addEventListener('click', () => {
    change(() => clips.clear());
    parts.input.focus();
  });
  addEventListener('beforeunload', (event) => {
    if (clips.count > 0 && isUnsaved) event.preventDefault();
  });
  recognition.onModel((report, choice) => {
    model = report;
    weights = madeOf.get(choice) ?? choice;
    if (report !== undefined) settings.suit(report);
    show();
  });
  show();
  return { leave: () => recorder.stop() };

  /** Adds labels. Those that the model cannot read are taken back, with the reason. */
  async function addLabels(labels: readonly string[]): Promise<void> {
    let beyond: readonly string[] = [];
    change(() => {
      beyond = clips.addLabels(labels);
    });
    const room = beyond.length === 0 ? [] : [`There is room for ${mostLabels} actions, not for ${listed(beyond)}.`];
    say(parts.note, room.join(' '));
    if (model === undefined || labels.length === 0) return;
    try {
      const { tooLong } = await recognition.client.call('measure', { labels });
      for (const { label } of tooLong) change(() => clips.removeLabel(label));
      say(parts.note, [...room, ...tooLong.map((long) => `“${long.label}”: ${reasonOf(long)}.`)].join(' '));
    } catch (error) {
      failed(error, parts.clipsFailure);
    }
  }

  /** Changes the clips. What was trained on others is no longer shown. */
  function change(how: () => void): void {
    how();
    isUnsaved = clips.count > 0;
    trained = undefined;
    result.hide();
    if (activity !== 'training') curves.hide();
    parts.done.textContent = '';
    show();
  }

  /** Whether the clips were seen by the model that is open. */
  function areOfModel(): boolean {
    return clips.count === 0 || seenBy === weights;
  }

  function show(): void {
    const focused = document.activeElement;
    const isReady = model?.perFrame === true && areOfModel();
    const isIdle = activity === undefined;
    rows.show(clips, { mayAdd: isReady && !clips.isFull, mayChange: isIdle });
    parts.count.textContent = countWords(clips.count);
    parts.base.textContent = baseWords(model, weights);
    parts.other.hidden = areOfModel() || model === undefined;
    parts.otherReason.textContent = `The clips were looked at by ${seenBy?.name}, and ${weights?.name} is open now. Choose it again under Recognise, or remove the clips.`;
    const lack = clips.lack;
    say(parts.lack, isIdle && trained === undefined ? (lack ?? '') : '');
    parts.start.disabled = !isIdle || lack !== undefined || !isReady;
    parts.start.hidden = activity === 'training';
    parts.stop.hidden = activity !== 'training';
    parts.cancel.hidden = activity !== 'recording' && activity !== 'reading';
    // A button that goes away leaves the focus to the one in its place.
    if (focused === parts.start && parts.start.hidden) parts.stop.focus();
    else if (focused === parts.stop && parts.stop.hidden) parts.start.focus();
    else if (focused === parts.cancel && parts.cancel.hidden) parts.input.focus();
    settings.isDisabled = !isIdle;
    parts.seconds.disabled = !isIdle;
    parts.countdown.disabled = !isIdle;
    parts.working.hidden = activity !== 'training';
  }

  /** Does one thing, and says what went wrong with it. */
  async function during(
    what: Activity,
    failure: HTMLElement,
    work: (signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    if (activity !== undefined) return;
    activity = what;
    wanted = new AbortController();
    say(failure, '');
    showProgress({ activity: '' });
    show();
    try {
      await work(wanted.signal);
    } catch (error) {
      failed(error, failure);
    } finally {
      activity = undefined;
      parts.status.textContent = '';
      show();
    }
  }

  /** Says what went wrong. */
  function failed(error: unknown, place: HTMLElement): void {
    if (error instanceof CallError && error.lost) recognition.reopen();
    if (isGivenUp(error)) return;
    if (!(error instanceof CallError || error instanceof CameraError)) throw error;
    say(place, error.message);
  }

  function record(label: string, times: number): Promise<void> {
    return during('recording', parts.clipsFailure, async (signal) => {
      const [seconds, countdown] = [Number(parts.seconds.value), Number(parts.countdown.value)];
      for (let time = 0; time < times && !clips.isFull && !signal.aborted; time++) {
        await recorder.record({
          label,
          seconds,
          countdown,
          take: async (frame, isFirst) => {
            await recognition.client.call('record', { frame, isFirst }, { transfer: [frame] });
          },
        });
        await encode(label, undefined, signal);
      }
    });
  }

  function read(label: string, files: readonly File[]): Promise<void> {
    return during('reading', parts.clipsFailure, async (signal) => {
      for (const file of files) if (!clips.isFull) await encode(label, file, signal);
    });
  }

  /** Adds the clip that was recorded, or that is in a file. */
  async function encode(label: string, file: File | undefined, signal: AbortSignal): Promise<void> {
    const asked = file === undefined ? {} : { video: { name: file.name, blob: file } };
    const onProgress = (progress: Progress): void => {
      parts.status.textContent = progress.activity;
    };
    const clip = await recognition.client.call('encode', asked, { signal, onProgress });
    if (clips.count === 0) seenBy = weights;
    change(() => clips.add(label, clip, file?.name));
  }

  async function train(): Promise<void> {
    const chosen = settings.read();
    if (chosen === undefined) return;
    await during('training', parts.failure, async (signal) => {
      const labels = clips.labels.map(({ label }) => label);
      const { examples } = clips;
      trained = undefined;
      result.hide();
      parts.done.textContent = '';
      curves.start(chosen.epochs);
      const started = performance.now();
      const onProgress = (progress: Progress): void => {
        if (progress.training === undefined) {
          showProgress(progress);
          return;
        }
        const { epochs } = progress.training;
        curves.add(progress.training);
        const left = ((performance.now() - started) / epochs) * (chosen.epochs - epochs);
        showProgress({ activity: epochWords(epochs, chosen.epochs, left), done: epochs, total: chosen.epochs });
      };
      const asked = { ...chosen, labels, clips: examples.map(({ rows: values, label }) => ({ rows: values, label })) };
      const report = await recognition.client.call('train', asked, { signal, onProgress }).catch((error: unknown) => {
        if (isGivenUp(error)) curves.hide();
        throw error;
      });
      trained = { report, labels, examples, epochs: chosen.epochs };
      isUnsaved = true;
      result.show(trained);
      parts.done.textContent = `The training is done. ${curves.summary}`;
    });
  }

  /** Hands the trained model to recognition, with its labels. */
  function use(): void {
    if (trained === undefined || weights === undefined) return;
    const choice = { name: `the head trained on your clips, from ${weights.name}`, blob: trained.report.file };
    madeOf.set(choice, weights);
    recognition.use(choice, trained.labels);
    const tab = byId('tab-recognise', HTMLElement);
    tab.click();
    tab.focus();
  }

  function showProgress({ activity: words, done, total }: Progress): void {
    if (done !== undefined && total !== undefined) parts.progress.value = done / total;
    else parts.progress.removeAttribute('value');
    parts.activity.textContent = words;
  }
}

const listed = (labels: readonly string[]): string => labels.map((label) => `“${label}”`).join(', ');

/** Shows a sentence where there is one. */
function say(place: HTMLElement, sentence: string): void {
  place.textContent = sentence;
  place.hidden = sentence === '';
}

function countWords(count: number): string {
  if (count >= mostClips) return `${count} clips, and no room for more`;
  return count === 0 ? '' : `${count} ${count === 1 ? 'clip' : 'clips'}`;
}

const isGivenUp = (error: unknown): boolean =>
  error instanceof RecordingStopped || (error instanceof CallError && error.cancelled);

function baseWords(model: ModelReport | undefined, weights: WeightsChoice | undefined): string {
  if (model === undefined) return 'No model is open yet: see under Recognise.';
  const name = weights?.name ?? 'the model';
  if (model.perFrame) return `The towers of ${name} stay as they are; a temporal head is trained on top of them.`;
  return `The image tower of ${name} looks at several frames together, so its head cannot be trained on clips here. Choose another model under Recognise.`;
}

function epochWords(done: number, total: number, millisecondsLeft: number): string {
  const left = Math.ceil(millisecondsLeft / 1000);
  const time = left < 100 ? `${left} s` : `${Math.ceil(left / 60)} min`;
  return `Epoch ${Math.min(total, Math.floor(done) + 1)} of ${total}, ${time} left`;
}
