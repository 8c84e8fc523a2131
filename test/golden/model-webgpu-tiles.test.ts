// The model with the matrix products of graphics cards: on a software adapter, others are taken by themselves.

import type { Device } from '@actionclip/tensor';
import type { WebGPUBackend } from '../../packages/tensor/src/backends/webgpu/backend.ts';
import { candidates } from '../../packages/tensor/src/backends/webgpu/gemm/choose.ts';
import { baseTarget } from '../../packages/tensor/src/backends/webgpu/target.ts';
import type { Kernel, Program } from '../../packages/tensor/src/compile/kernel.ts';
import { describeCases } from './run-case.ts';

async function byTiles(device: Device): Promise<void> {
  const backend = (await device.backend()) as WebGPUBackend;
  const compile = backend.compile.bind(backend);
  backend.compile = (program: Program) => {
    const forced = program.kernels.flatMap((kernel) => {
      const schedule = candidates(kernel, baseTarget).find(({ kind }) => kind === 'tiles');
      return schedule ? [[kernel, schedule] as const] : [];
    });
    return compile(program, new Map<Kernel, (typeof forced)[number][1]>(forced));
  };
}

describeCases('webgpu', ['transf'], { allowSoftware: true }, byTiles);
