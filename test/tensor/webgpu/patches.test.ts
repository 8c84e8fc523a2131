// Frames of bytes go into the patch embedding as they are: nothing normalised is stored on the way.

import { openDevice, setDefaultDevice, type Tensor, tensor } from '@actionclip/tensor';
import { expect, it, vi } from 'vitest';
import { expectNear } from '../comparison.ts';
import { randomValues } from './interpret.ts';

const [frames, size, patch, width] = [2, 8, 4, 12];
const across = size / patch;
const steps = 3 * patch * patch;
const pixels = randomValues(frames * 3 * size * size, 'u8', 3);
const weights = randomValues(width * steps, 'f32', 4);
const means = [0.48, 0.46, 0.41];
const deviations = [0.27, 0.26, 0.28];

/** CLIP's patch convolution of normalised frames, as the vision tower computes it: [frames, patches, width]. */
function embed(): Tensor {
  const bytes = tensor(pixels, { dtype: 'u8' }).reshape([frames, 3, size, size]);
  const channel = (values: readonly number[]): Tensor => tensor(values).reshape([3, 1, 1]);
  const images = bytes.to('f32').div(255).sub(channel(means)).div(channel(deviations));
  const patches = images
    .reshape([frames, 3, across, patch, across, patch])
    .permute(0, 2, 4, 1, 3, 5)
    .reshape([frames, across * across, steps]);
  return patches.matmul(tensor(weights).reshape([width, steps]).transpose());
}

it('one kernel reads the bytes, with the values of the definition', async () => {
  setDefaultDevice(await openDevice('reference'));
  const expected = embed();
  const values = Array.from(await expected.data());
  const device = await openDevice('webgpu', { allowSoftware: true });
  setDefaultDevice(device);
  const compile = vi.spyOn(await device.backend(), 'compile');
  const embedded = embed();
  await expectNear(embedded, { shape: expected.shape, data: values }, 1e-5);
  const kernels = compile.mock.calls.flatMap(([program]) => program.kernels);
  expect(kernels).toHaveLength(1);
  expect(kernels[0]?.inputs.map(({ dtype }) => dtype).sort()).toEqual(['f32', 'f32', 'f32', 'u8']);
  await device.close();
});
