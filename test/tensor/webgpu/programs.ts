// A device for the kernels that graphs become on the WebGPU backend: it records programs instead of running them.

import { Device } from '@actionclip/tensor';
import type { WebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import type { Program } from '../../../packages/tensor/src/compile/kernel.ts';

/** A device that compiles as `backend` does, and keeps the programs; it computes nothing, and all that it reads is zero. */
export function recordingDevice(backend: WebGPUBackend, programs: Program[]): Device {
  const recorder = new Proxy(backend, {
    get(target, property) {
      if (property === 'compile') {
        return async (program: Program) => {
          programs.push(program);
          return { stats: { dispatches: 0, passes: 0, submits: 0, pipelines: 0 } };
        };
      }
      if (property === 'run') return () => undefined;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return new Device('webgpu', async () => recorder);
}
