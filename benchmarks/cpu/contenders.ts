/** The engines that run on the processor. */
import type { Contender } from '../harness/contender.ts';

/**
 * The flags that this project's engine sets for itself, for its WebAssembly peers too: relaxed SIMD, which is ready in
 * Node 20 but off, and the joining of neighbouring vectors from Node 24 on. Node refuses to start with an unknown flag.
 */
function engineFlags(major: number): readonly string[] {
  if (major < 22) return ['--experimental-wasm-relaxed-simd'];
  return major >= 24 && major <= 26 ? ['--experimental-wasm-revectorize'] : [];
}

const listedIn = import.meta.url;

/** In the order of the table; the first is what the others are compared with. */
export const contenders: readonly Contender[] = [
  {
    name: 'actionclip',
    listedIn,
    packages: [],
    threaded: true,
    open: async ({ threads }) => (await import('../contenders/actionclip.ts')).openOnProcessor(threads),
  },
  {
    name: 'onnxruntime-web',
    listedIn,
    packages: ['onnxruntime-web'],
    threaded: true,
    flags: engineFlags,
    open: async ({ threads }) => (await import('../contenders/onnxruntime.ts')).open('onnxruntime-web', threads),
  },
  {
    name: 'tfjs-wasm',
    listedIn,
    packages: ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm'],
    threaded: false,
    flags: engineFlags,
    open: async () => (await import('../contenders/tfjs.ts')).open('wasm'),
  },
  {
    name: 'jax-js',
    listedIn,
    packages: ['@jax-js/jax'],
    threaded: false,
    flags: engineFlags,
    open: async () => (await import('../contenders/jax.ts')).open('wasm'),
  },
  {
    name: 'onnxruntime-node',
    listedIn,
    packages: ['onnxruntime-node'],
    threaded: true,
    open: async ({ threads }) => (await import('../contenders/onnxruntime.ts')).open('onnxruntime-node', threads),
  },
];
