// Shaders run as they are, without the choice that a backend makes among them: for variants that its device has not.

import type { WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { bufferUsage, computeStage } from '../../../packages/tensor/src/backends/webgpu/device.ts';
import { grid, type KernelShaders } from '../../../packages/tensor/src/backends/webgpu/kernels.ts';
import { bufferOf } from '../../../packages/tensor/src/backends/webgpu/memory.ts';
import type { Binding } from '../../../packages/tensor/src/backends/webgpu/storage.ts';
import type { Shader } from '../../../packages/tensor/src/backends/webgpu/wgsl.ts';
import { dtypes, fromHalfBits } from '../../../packages/tensor/src/dtype.ts';
import { type Case, toArray } from './interpret.ts';

/** The layout of a shader's bindings: the parameter block, then its buffers. */
export function layoutOf(device: GPUDevice, bindings: readonly Binding[]): GPUBindGroupLayout {
  return device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility: computeStage, buffer: { type: 'uniform' } },
      ...bindings.map(({ writable }, i) => ({
        binding: i + 1,
        visibility: computeStage,
        buffer: { type: writable ? ('storage' as const) : ('read-only-storage' as const) },
      })),
    ],
  });
}

/** The pipelines of each device by the text of their shader: examples of one structure share them. */
const made = new WeakMap<GPUDevice, Map<string, GPUComputePipeline>>();

async function pipelineOf(device: GPUDevice, shader: Shader, layout: GPUBindGroupLayout): Promise<GPUComputePipeline> {
  const known = made.get(device) ?? new Map<string, GPUComputePipeline>();
  made.set(device, known);
  const ready = known.get(shader.code);
  if (ready) return ready;
  device.pushErrorScope('validation');
  const module = device.createShaderModule({ code: shader.code });
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: 'main' },
  });
  const error = await device.popErrorScope();
  if (error) throw new Error(`${shader.name}: ${error.message}\n${shader.code}`);
  known.set(shader.code, pipeline);
  return pipeline;
}

/** The contents of all buffers of `example` after `shaders` have run in order. */
export async function runShaders(
  backend: WebGPUBackend,
  { shaders, scratch = [] }: KernelShaders,
  example: Case,
): Promise<number[][]> {
  const { device } = backend;
  const slots = example.buffers.map(({ dtype, values }) => {
    const slot = backend.alloc(Math.max(16, dtypes[dtype].bytes * values.length));
    backend.write(slot, toArray(values, dtype), dtype);
    return slot;
  });
  const scratchSlots = scratch.map((bytes) => backend.alloc(Math.max(16, bytes)));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const shader of shaders) {
    const layout = layoutOf(device, shader.bindings);
    const pipeline = await pipelineOf(device, shader, layout);
    const size = 16 * Math.max(1, Math.ceil(shader.parameters.length / 4));
    const sizes = device.createBuffer({ size, usage: bufferUsage.uniform | bufferUsage.copyTarget });
    device.queue.writeBuffer(sizes, 0, Int32Array.from(shader.parameters));
    const buffers = shader.bindings.map((binding) => (binding.scratch ? scratchSlots : slots)[binding.buffer]);
    const entries = [sizes, ...buffers.map((slot) => bufferOf(slot as (typeof slots)[number]))].map((buffer, i) => {
      return { binding: i, resource: { buffer } };
    });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...grid(shader.workgroups, device.limits.maxComputeWorkgroupsPerDimension));
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  const contents: number[][] = [];
  for (const [b, { dtype, values }] of example.buffers.entries()) {
    const read = await backend.read(slots[b] as (typeof slots)[number], values.length, dtype);
    contents.push(Array.from(read, (x) => (dtype === 'f16' ? fromHalfBits(x) : x)));
  }
  for (const slot of [...slots, ...scratchSlots]) backend.free(slot);
  return contents;
}
