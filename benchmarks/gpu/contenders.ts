/** The engines that run on the graphics processor. */
import { offerWebGPU } from '../contenders/navigator.ts';
import type { Contender } from '../harness/contender.ts';

const listedIn = import.meta.url;

/** PyTorch with a way of its own to multiply matrices. */
const pytorch = (precision: 'f32' | 'tf32' | 'bf16'): Contender => ({
  name: `pytorch, ${precision}`,
  listedIn,
  packages: [],
  threaded: false,
  open: async () => (await import('../contenders/pytorch.ts')).open(precision),
});

/** In the order of the table; the first is what the others are compared with. */
export const contenders: readonly Contender[] = [
  {
    name: 'actionclip',
    listedIn,
    packages: [],
    threaded: false,
    open: async (setting) => (await import('../contenders/actionclip.ts')).openOnGPU(setting, 'f32'),
  },
  {
    name: 'actionclip, mixed',
    listedIn,
    packages: [],
    threaded: false,
    tolerance: 2e-2, // 16-bit factors
    open: async (setting) => (await import('../contenders/actionclip.ts')).openOnGPU(setting, 'mixed'),
  },
  {
    name: 'gpu.js',
    listedIn,
    packages: [],
    threaded: false,
    open: async (setting) => (await import('../contenders/actionclip.ts')).openOnGpuJs(setting),
  },
  {
    name: 'jax-js',
    listedIn,
    packages: ['@jax-js/jax'],
    threaded: false,
    open: async (setting) => {
      await offerWebGPU(setting);
      return (await import('../contenders/jax.ts')).open('webgpu');
    },
  },
  {
    name: 'tfjs-webgpu',
    listedIn,
    packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-webgpu'],
    threaded: false,
    open: async (setting) => {
      await offerWebGPU(setting);
      return (await import('../contenders/tfjs.ts')).open('webgpu');
    },
  },
  pytorch('f32'),
  pytorch('tf32'),
  pytorch('bf16'),
];
