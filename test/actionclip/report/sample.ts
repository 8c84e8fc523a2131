/** A report's data with made-up numbers: two curves, tables, 24 classes and a few drawn clips. */
import type { CurveSeries, Filmstrip, ReportData } from '../../../packages/actionclip/src/report/data.ts';
import { encodeFrame } from '../../../packages/actionclip/src/report/frames.ts';

const VERBS = ['raising', 'lowering', 'swinging', 'bending', 'stretching', 'circling'];
const PARTS = ['the left arm', 'the right arm', 'the left knee', 'both arms'];
export const LABELS: readonly string[] = PARTS.flatMap((part) => VERBS.map((verb) => `${verb} ${part}`));

const curve = (name: string, from: number, to: number, rate: number, steps: number, wobble: number): CurveSeries => ({
  name,
  points: Array.from({ length: steps }, (_, x) => ({
    x,
    y: to + (from - to) * Math.exp(-x / rate) + wobble * Math.sin(x * 1.7) * Math.cos(x * 0.31),
  })),
});

/** Frames of a disc on its way across the picture. */
async function drawFrames(clip: number, size: number): Promise<Filmstrip['frames']> {
  const frames = Array.from({ length: 8 }, (_, t) => {
    const pixels = new Uint8Array(size * size * 3);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) {
        const inside = Math.hypot(x - size * (0.15 + 0.1 * t), y - size * (0.3 + 0.05 * clip)) < size / 8;
        const color = inside ? [220, 120 + clip * 15, 60] : [60 + clip * 10, 90 + y / 2, 110 + x / 3];
        pixels.set(color, (y * size + x) * 3);
      }
    }
    return encodeFrame(pixels, { width: size, height: size });
  });
  return Promise.all(frames);
}

const label = (index: number): string => LABELS[index % LABELS.length] ?? '';

async function clip(index: number, right: boolean): Promise<Filmstrip> {
  return {
    frames: await drawFrames(index, 96),
    label: label(index),
    source: `val/clip_${String(index).padStart(4, '0')}`,
    predictions: [right ? 0 : 6, right ? 6 : 0, 12].map((shift, rank) => ({
      label: label(index + shift),
      probability: [0.871, 0.094, 0.021][rank] ?? 0,
    })),
  };
}

function confusionCounts(): number[] {
  return LABELS.flatMap((_, row) =>
    LABELS.map((_, column) => {
      if (row === column) return 18 - (row % 5);
      if (column === (row + 6) % 24) return row % 5;
      return (row * 7 + column * 3) % 41 === 0 ? 2 : 0;
    }),
  );
}

export async function sampleReport(): Promise<ReportData> {
  return {
    title: 'ActionCLIP on articulated figures',
    subtitle: 'A tiny ViT trained from scratch on 960 clips of 24 actions; 6 further labels were never trained.',
    summary: [
      { label: 'Top-1, held-out clips', value: '93.8 %', note: 'chance 4.2 %' },
      { label: 'Top-5, held-out clips', value: '99.6 %', note: '480 clips' },
      { label: 'Zero-shot top-1', value: '58.3 %', note: 'chance 16.7 %, 6 labels' },
      { label: 'Training time', value: '3m 41s', note: '2 CPU cores' },
    ],
    curves: [
      {
        title: 'Loss',
        xLabel: 'step',
        yLabel: 'KL divergence',
        series: [curve('training', 2.7, 0.2, 120, 900, 0.08), curve('validation', 2.6, 0.42, 150, 900, 0.01)],
      },
      {
        title: 'Accuracy on held-out clips',
        xLabel: 'epoch',
        yLabel: 'accuracy',
        percent: true,
        series: [curve('top-1', 0.05, 0.94, 5, 30, 0.01), curve('top-5', 0.2, 0.995, 3, 30, 0)],
      },
      { title: 'Learning rate', xLabel: 'step', yLabel: 'rate', series: [curve('rate', 5e-4, 1e-6, 300, 900, 0)] },
    ],
    tables: [
      {
        title: 'Labels never seen in training',
        note: 'Chance is 16.7 %. Each label joins a verb and a body part that were trained only apart.',
        columns: ['Label', 'Clips', 'Top-1', 'Most frequent mistake'],
        rows: [
          ['circling the left knee', 20, '65.0 %', 'circling the left arm'],
          ['stretching the right arm', 20, '55.0 %', 'stretching both arms'],
          ['bending the left knee', 20, '50.0 %', '–'],
        ],
      },
      {
        title: 'Does the order of time matter?',
        columns: ['Temporal head', 'All classes', 'Time-ordered classes', 'Frames shuffled'],
        rows: [
          ['meanP', '81.2 %', '51.7 %', '81.2 %'],
          ['Transf', '93.8 %', '92.5 %', '61.0 %'],
        ],
      },
    ],
    confusion: { labels: LABELS, counts: confusionCounts() },
    clips: [await clip(0, true), await clip(3, true), await clip(4, false), await clip(7, false)],
    run: {
      facts: [
        ['Machine', 'Linux x64, 2 cores, 8 GB'],
        ['Device', 'wasm (SIMD, 2 threads)'],
        ['Versions', 'actionclip 0.1.0, Node 20.20.2'],
        ['Seed', '1024'],
        ['Finished', '2026-11-23 14:05 UTC'],
      ],
      configuration: 'network:\n  arch: tiny\n  sim_header: Transf\nsolver:\n  lr: 5.0e-4\n  epochs: 30',
    },
  };
}
