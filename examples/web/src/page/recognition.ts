/** Recognition: its panels put together around the pipeline. */
import shortClip from '../../assets/jumping-jacks.mp4?url';
import smallModel from '../../assets/small-actions.safetensors?url';
import longClip from '../../assets/three-actions.mp4?url';
import type { ModelReport, Progress, ScoreReport, VideoReport, WeightsChoice } from '../protocol.ts';
import { Bars } from './bars.ts';
import { byId, percent } from './dom.ts';
import { EnginePanel } from './engine-panel.ts';
import { Frames } from './frames.ts';
import { HubPanel } from './hub-panel.ts';
import { LabelEditor } from './labels.ts';
import { LiveRecognition } from './live.ts';
import { LiveView } from './live-view.ts';
import { Pipeline, type Stage } from './pipeline.ts';
import { presets } from './presets.ts';
import { Timeline } from './timeline.ts';
import { type ChosenVideo, VideoPanel } from './video-panel.ts';
import { WorkerClient } from './worker-client.ts';

/** Milliseconds after the last change of the labels, so that typing does not start the work over each time. */
const labelPause = 150;
/** Milliseconds of work before its progress is shown. */
const patienceForProgress = 150;

const shipped: WeightsChoice = { name: 'the small model of drawn actions', address: absolute(smallModel) };
/** A file that the build puts beside the page. */
const clipMerges = absolute('clip-merges.txt');

function absolute(address: string): string {
  return new URL(address, document.baseURI).href;
}

/** What other tabs need of recognition. */
export interface Recognition {
  readonly client: WorkerClient;
  /** Tells of every model that is opened, with the weights that were chosen; of none, while there is none. */
  readonly onModel: (listener: ModelListener) => void;
  /** Takes other weights, and scores against these labels. */
  readonly use: (weights: WeightsChoice, labels: readonly string[]) => void;
  /** Starts over: the worker is gone. */
  readonly reopen: () => void;
  /** Another tab is shown. */
  readonly leave: () => void;
}

export type ModelListener = (model: ModelReport | undefined, weights: WeightsChoice) => void;

export function startRecognition(): Recognition {
  const parts = {
    result: byId('result', HTMLElement),
    title: byId('result-title', HTMLElement),
    working: byId('working', HTMLElement),
    progress: byId('progress', HTMLProgressElement),
    activity: byId('activity', HTMLElement),
    status: byId('status', HTMLElement),
    failure: byId('failure', HTMLElement),
    failureReason: byId('failure-reason', HTMLElement),
    retry: byId('retry', HTMLButtonElement),
    empty: byId('empty', HTMLElement),
    emptyText: byId('empty-text', HTMLElement),
    trySample: byId('try-sample', HTMLButtonElement),
    scores: byId('scores', HTMLElement),
    caveat: byId('caveat', HTMLElement),
    extent: byId('extent', HTMLElement),
    frames: byId('frames-section', HTMLElement),
    preset: byId('preset', HTMLSelectElement),
    window: byId('window', HTMLSelectElement),
  };
  let model: ModelReport | undefined;
  let weights = shipped;
  let video: ChosenVideo | undefined;
  let report: VideoReport | undefined;
  let hasChosenLabels = false;
  /** Tries again what failed. */
  let again = (): void => {};
  /** Shows the progress when it has lasted for a while. */
  let soon: ReturnType<typeof setTimeout> | undefined;

  const seek = (seconds: number): void => videoPanel.seek(seconds);
  const bars = new Bars();
  const frames = new Frames(seek);
  const timeline = new Timeline(seek);
  const liveView = new LiveView(bars, frames);

  const listeners: ModelListener[] = [];
  const tellModel = (): void => {
    for (const listener of listeners) listener(model, weights);
  };
  const client = new WorkerClient(() => new Worker(new URL('../worker/main.ts', import.meta.url), { type: 'module' }));
  const pipeline = new Pipeline(client, {
    started: (stage) => {
      hideFailure();
      busy(true);
      if (stage === 'open' || stage === 'load') {
        model = undefined;
        tellModel();
      }
      if (stage !== 'score' && stage !== 'follow') clearResult(stage);
    },
    progress: showProgress,
    done: {
      open: (device) => engine.showDevice(device),
      load: showModel,
      watch: showVideo,
      score: showScores,
      follow: ({ frames: taken, seconds, tooLong }) => {
        live.framesPerSecond = taken / seconds;
        labels.leaveOut(tooLong);
        if (labels.allLeftOut) clearResult('watch');
      },
    },
    failed: (stage, error) => {
      showFailure(error.message);
      if (stage === 'load') void hub.showKept();
    },
    cancelled: () => showFailure('The work was stopped.'),
    idle: () => {
      busy(false);
      showEmpty();
    },
  });
  const engine = new EnginePanel(shipped, {
    device: (device) => pipeline.set('open', { device }),
    weights: (choice) => {
      weights = choice;
      pipeline.set('load', { weights, clipMerges });
    },
  });
  const hub = new HubPanel((choice) => engine.choose(choice), showFailure);
  const videoPanel = new VideoPanel((chosen) => {
    live.stop();
    video = chosen;
    watch();
  }, showFailure);
  const live = new LiveRecognition({
    started: () => {
      hideFailure();
      video = undefined;
      pipeline.set('watch', undefined);
      clearResult('watch');
      videoPanel.clear();
      follow();
    },
    opened: (preview) => videoPanel.showLive(preview),
    changed: () => {
      liveView.clear();
      follow();
    },
    look: (ask, signal) => pipeline.look(ask, signal),
    seen: (seen, pace) => {
      if (!liveView.show(seen, pace, live.seconds)) {
        parts.emptyText.textContent = `Gathering the first ${live.seconds} s: ${(100 * seen.filled).toFixed(0)} %`;
        return;
      }
      parts.scores.hidden = false;
      parts.frames.hidden = false;
      showEmpty();
    },
    ended: (problem) => {
      follow();
      videoPanel.endLive();
      if (problem !== undefined) showFailure(problem, () => live.start());
    },
  });

  let pause: ReturnType<typeof setTimeout> | undefined;
  const labels = new LabelEditor((list) => {
    hasChosenLabels = true;
    clearTimeout(pause);
    pause = setTimeout(() => {
      pipeline.set('score', list.length === 0 ? undefined : { labels: list });
      if (live.isOn) follow();
    }, labelPause);
    if (list.length === 0) {
      clearScores();
      if (live.isOn) follow();
    }
    showEmpty();
  });

  parts.preset.addEventListener('change', () => {
    const list = parts.preset.value === 'own' ? model?.labels : presets[parts.preset.value]?.();
    if (list !== undefined) labels.replace(list);
    parts.preset.value = '';
  });
  parts.window.addEventListener('change', watch);
  byId('cancel', HTMLButtonElement).addEventListener('click', () => pipeline.cancel());
  parts.retry.addEventListener('click', () => {
    hideFailure();
    again();
  });
  const offerSample = (button: HTMLButtonElement, name: string, address: string): void =>
    button.addEventListener('click', () => void videoPanel.sample(name, absolute(address)));
  offerSample(parts.trySample, 'jumping-jacks.mp4', shortClip);
  offerSample(byId('sample-short', HTMLButtonElement), 'jumping-jacks.mp4', shortClip);
  offerSample(byId('sample-long', HTMLButtonElement), 'three-actions.mp4', longClip);

  showEmpty();
  pipeline.set('open', { device: 'auto' });
  pipeline.set('load', { weights, clipMerges });
  return {
    client,
    onModel: (listener) => {
      listeners.push(listener);
      listener(model, weights);
    },
    use: (choice, list) => {
      engine.choose(choice);
      labels.replace(list);
    },
    reopen: () => pipeline.reopen(),
    leave: () => live.stop(),
  };

  function watch(): void {
    if (video === undefined) return;
    const asked = parts.window.value;
    pipeline.set('watch', { ...video, ...(asked === 'auto' ? {} : { window: Number(asked) }) });
  }

  /** Has the webcam's frames scored while it is on. */
  function follow(): void {
    const { isOn, seconds } = live;
    const list = labels.labels;
    pipeline.set('follow', isOn && list.length > 0 ? { labels: list, seconds } : undefined);
    if (!isOn || list.length === 0) clearResult('watch');
  }

  function showModel(loaded: ModelReport): void {
    model = loaded;
    tellModel();
    labels.leaveOut([]);
    engine.showModel(loaded);
    void hub.showKept();
    const own = parts.preset.querySelector<HTMLOptionElement>('option[value="own"]');
    if (own !== null) {
      own.disabled = loaded.labels.length === 0;
      own.textContent = loaded.labels.length === 0 ? "The model's own" : `The model's own ${loaded.labels.length}`;
    }
    parts.caveat.hidden = weights !== shipped;
    // The labels that the model knows are there before a person has any.
    if (hasChosenLabels || loaded.labels.length === 0) return;
    labels.replace(loaded.labels);
    hasChosenLabels = false;
  }

  function showVideo(seen: VideoReport): void {
    report = seen;
    engine.showVideo(seen);
    frames.film(seen.pictures);
    parts.frames.hidden = false;
    showEmpty();
  }

  function showScores(scores: ScoreReport): void {
    labels.leaveOut(scores.tooLong);
    if (scores.labels.length === 0) {
      clearScores();
      showEmpty();
      return;
    }
    bars.show(scores);
    frames.score(scores);
    timeline.show(scores, report?.duration ?? 0);
    parts.extent.textContent = extentOf(scores.windows, report);
    parts.scores.hidden = false;
    showEmpty();
    const at = scores.probabilities.indexOf(Math.max(...scores.probabilities));
    parts.status.textContent = `${scores.labels[at] ?? ''}, ${percent(scores.probabilities[at] ?? 0)}`;
  }

  /** Takes away what is no longer true once a stage is done again. */
  function clearResult(stage: Stage): void {
    if (stage === 'watch' || report !== undefined || live.isOn) clearScores();
    report = undefined;
    liveView.clear();
    hide(parts.frames);
    showEmpty();
  }

  function clearScores(): void {
    hide(parts.scores);
    timeline.hide();
    if (report !== undefined) frames.film(report.pictures);
  }

  function busy(isBusy: boolean): void {
    parts.result.setAttribute('aria-busy', String(isBusy));
    clearTimeout(soon);
    if (!isBusy) hide(parts.working);
    else if (parts.working.hidden) soon = setTimeout(() => (parts.working.hidden = false), patienceForProgress);
  }

  function showProgress({ activity, done, total }: Progress): void {
    const counted = done !== undefined && total !== undefined;
    if (counted) parts.progress.value = done / total;
    else parts.progress.removeAttribute('value');
    parts.activity.textContent = counted && total > 1 && total < 1e5 ? `${activity}: ${done} of ${total}` : activity;
  }

  function showFailure(problem: string, tryAgain = () => pipeline.retry()): void {
    again = tryAgain;
    parts.failureReason.textContent = problem;
    parts.failure.hidden = false;
    showEmpty();
  }

  function hideFailure(): void {
    hide(parts.failure);
  }

  /** Hides a part of the result; whoever used the keyboard in there stays at the result. */
  function hide(part: HTMLElement, isHidden = true): void {
    if (isHidden && part.contains(document.activeElement)) parts.title.focus();
    part.hidden = isHidden;
  }

  /** Says what is missing for a result. */
  function showEmpty(): void {
    const hasSource = video !== undefined || live.isOn;
    const lacksLabels = (labels.labels.length === 0 || labels.allLeftOut) && hasSource;
    const gathers = live.isOn && parts.scores.hidden;
    const isComing = hasSource && parts.result.getAttribute('aria-busy') === 'true';
    hide(parts.empty, !(lacksLabels || gathers || !hasSource) || isComing || !parts.failure.hidden);
    parts.trySample.hidden = hasSource;
    const [kind, source] = [labels.allLeftOut ? 'shorter ' : '', live.isOn ? 'webcam' : 'video'];
    parts.emptyText.textContent = lacksLabels
      ? `Add ${kind}labels, and the ${source} is scored against them.`
      : gathers
        ? 'Waiting for the webcam.'
        : 'Choose a video, or use the webcam, and see which of the labels fits it best.';
  }
}

/** What the probabilities are of. */
function extentOf(windows: ScoreReport['windows'], report: VideoReport | undefined): string {
  const { frames = 0, duration = 0 } = report ?? {};
  const video = `${frames} ${frames === 1 ? 'frame' : 'frames'}, ${duration.toFixed(1)} s`;
  const [first] = windows;
  if (windows.length < 2 || first === undefined) return video;
  return `${video}: the mean over ${windows.length} windows of ${(first.end - first.start).toFixed(1)} s`;
}
