// A whole process around one backend: prints 3 5 7 and ends without being told to.

import { createWebGPUBackend } from '../../../packages/tensor/src/backends/webgpu/backend.ts';
import { add, axis, constant, load, mul } from '../../../packages/tensor/src/expr/expr.ts';
import { preloadSoftwareVulkan } from '../../../tools/software-webgpu.ts';

preloadSoftwareVulkan();
const backend = await createWebGPUBackend({ allowSoftware: true });
const value = add(mul(load(0, axis(0, 3), 'f32'), constant(2)), constant(1));
const executable = await backend.compile({
  buffers: [{ bytes: 12 }, { bytes: 12 }],
  bindings: 2,
  kernels: [
    {
      kind: 'loop',
      name: 'line',
      shape: [3],
      inputs: [{ buffer: 0, dtype: 'f32' }],
      outputs: [{ buffer: 1, dtype: 'f32', value }],
    },
  ],
});
const [input, output] = [backend.alloc(12), backend.alloc(12)];
backend.write(input, new Float32Array([1, 2, 3]), 'f32');
await backend.run(executable, [input, output]);
console.log([...(await backend.read(output, 3, 'f32'))].join(' '));
await backend.close();
