// Records as a run logs them, and what a live page is told of it.
import type { LiveSubject } from '../../../packages/actionclip/src/live/history.ts';
import type { LogRecord } from '../../../packages/actionclip/src/train/log.ts';

export const SUBJECT: LiveSubject = {
  title: 'ActionCLIP on <b>clips</b>',
  subtitle: '40 clips for training',
  epochs: 5,
  batchesPerEpoch: 10,
  facts: [['device', 'reference']],
  configuration: '{ "seed": 1 }',
};

export const stepRecord = (step: number): LogRecord => ({
  kind: 'step',
  step,
  epoch: Math.floor(step / 10),
  batchIndex: step % 10,
  loss: 3 - step / 20,
  learningRate: 1e-3,
  clipsPerSecond: 40,
  dataWait: 0.25,
  secondsLeft: 125,
  residentBytes: 5e8,
  deviceBytes: 2e8,
});

export const validationRecord = (epoch: number, top1: number): LogRecord => ({
  kind: 'validation',
  step: 10 * epoch + 9,
  epoch,
  top1,
  top5: 0.9,
});
