import type { Classification } from 'actionclip';
import { expect, it } from 'vitest';
import { recognizedVideo, renderRecognition } from '../../../packages/actionclip/src/report/recognition.ts';

const image = { width: 4, height: 4, data: new Uint8Array(48).fill(90) };

/** A video of 20 s with a frame for each second and windows of 5 s, whose best label changes in the middle. */
const classification: Classification = {
  labels: ['a <b> & "c"', 'yoga', 'riding', 'running', 'lying', 'sitting'],
  probabilities: new Float64Array([0.4, 0.3, 0.1, 0.1, 0.06, 0.04]),
  frames: 500,
  duration: 20,
  sampled: Array.from({ length: 20 }, (_, time) => ({
    index: time * 25,
    time,
    image,
    similarities: new Float32Array([0.3 - time / 100, 0.1 + time / 100, 0, 0, 0, 0]),
  })),
  windows: [0, 5, 10, 15].map((start) => ({
    start,
    end: start + 5,
    probabilities: new Float64Array(start < 10 ? [0.7, 0.1, 0.1, 0.1, 0, 0] : [0.1, 0.5, 0.1, 0.1, 0.12, 0.08]),
  })),
};

it('the page of a video has its bars, pictures, curves and timeline, with everything escaped', async () => {
  const video = await recognizedVideo({ path: '<i>.mp4', classification }, 5);
  const page = renderRecognition([video], [['Weights', 'w<1>.pt']]);
  expect(page).toContain('<h1>&lt;i&gt;.mp4</h1>');
  expect(page).toContain('w&lt;1&gt;.pt');
  expect(page).not.toMatch(/<i>|<b>|<1>|<script/);
  expect(page.match(/<img src="data:image\/jpeg;base64,/g)).toHaveLength(8);
  expect([...page.matchAll(/class="percent">([\d.]+) %/g)].map(([, percent]) => Number(percent))).toEqual([
    40, 30, 10, 10, 6, 4,
  ]);
  expect(page).toContain('<span class="name">1 other</span>');
  const runs = [...page.matchAll(/<td class="number">(\d+:\d\d\.\d)–(\d+:\d\d\.\d)<\/td>/g)];
  expect(runs.map(([, start, end]) => [start, end])).toEqual([
    ['0:00.0', '0:10.0'],
    ['0:10.0', '0:20.0'],
  ]);
  // One strip for similarities, one chart of the windows' probabilities.
  expect(page.match(/<svg[^>]*xmlns/g)).toHaveLength(2);
});

it('the page of many videos has a heading for each, and the sentence of each that could not be read', async () => {
  const still = { ...classification, windows: classification.windows.slice(0, 1), sampled: [] };
  const page = renderRecognition(
    [
      await recognizedVideo({ path: 'a.mp4', classification: still }, 2),
      await recognizedVideo({ path: 'b.mp4', error: new Error('b.mp4: it is <broken>') }, 2),
    ],
    [],
  );
  expect(page).toContain('<h1>2 videos</h1>');
  expect(page).toContain('<h2>a.mp4</h2>');
  expect(page).toContain('<p class="wrong">b.mp4: it is &lt;broken&gt;</p>');
  expect(page).not.toContain('Timeline');
  expect(page).not.toContain('undefined');
});

it('keeps of the frames no more than their small pictures', async () => {
  const video = await recognizedVideo({ path: 'a.mp4', classification }, 5);
  if ('error' in video) throw new Error(video.error);
  expect(video.classification.sampled.every((frame) => frame.image.data.length === 0)).toBe(true);
  expect(video.pictures.map(({ time }) => time)).toEqual([1, 3, 6, 8, 11, 13, 16, 18]);
});
