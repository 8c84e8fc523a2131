// What a WebGPU device can refuse or fail to do: memory that is not there, a device that goes away, switches.

import { compile, type Device, DeviceError, openDevice, realize, type Tensor, tensor } from '@actionclip/tensor';
import { describe, expect, it } from 'vitest';
import type { WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { dawnOptions } from '../../../packages/tensor/src/backends/webgpu/device.ts';

const openSoftware = (): Promise<Device> => openDevice('webgpu', { allowSoftware: true });
const gpuOf = async (device: Device): Promise<GPUDevice> => ((await device.backend()) as WebGPUBackend).device;

/** Lets the device have `bytes` of buffers and no more: it answers error scopes as a full one does. */
function limitMemory(gpu: GPUDevice, bytes: number): void {
  let live = 0;
  let refused = false;
  const createBuffer = gpu.createBuffer.bind(gpu);
  const popErrorScope = gpu.popErrorScope.bind(gpu);
  gpu.createBuffer = (descriptor) => {
    const buffer = createBuffer(descriptor);
    refused = live + descriptor.size > bytes;
    live += descriptor.size;
    const destroy = buffer.destroy.bind(buffer);
    buffer.destroy = () => {
      live -= descriptor.size;
      return destroy();
    };
    return buffer;
  };
  gpu.popErrorScope = async () => {
    const message = refused ? 'Out of memory' : undefined;
    refused = false;
    const error = await popErrorScope();
    return message === undefined ? error : ({ message } as GPUError);
  };
}

describe('a device without memory', () => {
  const kilobytes = (n: number, device: Device): Tensor => tensor(new Float32Array(n * 256).fill(1), { device });

  it('says what was asked for, what there is, and what to do', async () => {
    const device = await openSoftware();
    limitMemory(await gpuOf(device), 300 * 1024);
    const x = kilobytes(128, device);
    await realize([x.add(0)]);
    const y = x.mul(2);
    const z = y.sum();
    const outcome = realize([x.mul(3), x.add(5), y, z]);
    await expect(outcome).rejects.toThrow(DeviceError);
    await expect(outcome).rejects.toThrow(
      /out of memory: a buffer of 128.00 KiB was asked for while .* in use and .* idle; use a smaller batch, .*checkpoint/,
    );
    // What fits is computed as before.
    expect(await z.item()).toBe(2 * 128 * 256);
    await device.close();
  });

  it('takes back what captured functions keep before it gives up', async () => {
    const device = await openSoftware();
    const x = kilobytes(64, device);
    const step = compile((v: Tensor) => v.sub(v.exp().mul(v).sum()).exp().sum());
    const first = await (await step(x)).item();
    const held = (await device.memory()).live;
    expect(step.stats().memory.workspace).toBeGreaterThanOrEqual(0);
    limitMemory(await gpuOf(device), 200 * 1024);
    const others = [x.mul(2), x.mul(3)];
    await realize(others);
    for (const other of others) other.dispose();
    expect(await (await step(x)).item()).toBe(first);
    expect((await device.memory()).live).toBeLessThanOrEqual(held + 1024);
    await device.close();
  });
});

it('a program with a buffer beyond the limit is refused before it runs, by the name of its kernel', async () => {
  const device = await openSoftware();
  const { bufferBytes } = (await device.backend()).limits;
  const rows = Math.ceil(bufferBytes / 4 / 1024) + 1;
  const x = tensor(new Float32Array(rows), { device });
  const wide = x.reshape([rows, 1]).add(tensor(new Float32Array(1024), { device }));
  await expect(realize([wide])).rejects.toThrow(
    new RegExp(
      `^The kernel '.*add.*' needs a buffer of ${4 * rows * 1024} bytes .*at most ${bufferBytes} bytes; use a smaller batch`,
    ),
  );
  await device.close();
});

it('a lost device rejects the reads under way and everything after, by name', async () => {
  const device = await openSoftware();
  const x = tensor([1, 2, 3], { device });
  const y = x.mul(2);
  await realize([y]);
  const step = compile((v: Tensor) => v.mul(3));
  await step(x);
  const gpu = await gpuOf(device);
  const backend = await device.backend();
  const slot = backend.alloc(4096);
  const pending = expect(backend.read(slot, 1024, 'f32')).rejects.toThrow(DeviceError);
  gpu.destroy();
  await pending;
  await gpu.lost;
  for (const attempt of [() => step(x), () => realize([x.add(1)]), () => backend.read(slot, 4, 'f32')]) {
    await expect(attempt()).rejects.toThrow(/^The WebGPU device '.*' was lost/);
  }
  await device.close();
  expect(() => device.backend()).toThrow(/was closed/);
});

it("Dawn's switches: bounds checks stay unless they are given up, and are another instance then", async () => {
  expect(dawnOptions()).toEqual(['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia']);
  expect(dawnOptions({ robustness: false, coarseTimestamps: false })).toEqual([
    'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia,disable_robustness',
    'disable-dawn-features=timestamp_quantization',
  ]);
  const device = await openDevice('webgpu', {
    allowSoftware: true,
    dawn: { robustness: false, coarseTimestamps: false },
  });
  expect([...(await tensor([1, 2], { device }).mul(3).data())]).toEqual([3, 6]);
  await device.close();
});
