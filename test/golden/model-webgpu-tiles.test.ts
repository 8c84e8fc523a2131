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
      const tiles = candidates(kernel, baseTarget).filter((schedule) => schedule.kind === 'tiles');
      // The larger the tile, the longer a software adapter takes to compile it.
      const schedule = tiles.find(({ tileM, split }) => tileM === 32 && split === 1) ?? tiles[0];
      return schedule ? [[kernel, schedule] as const] : [];
    });
    return compile(program, new Map<Kernel, (typeof forced)[number][1]>(forced));
  };
}

describeCases('webgpu', ['transf'], { allowSoftware: true }, byTiles);
