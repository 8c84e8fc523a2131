// `npm run sizes`: what a page fetches of each package, minified and compressed, and whether it keeps within its bounds.

import { type Bundle, bundle } from './bundle.ts';

interface Row {
  readonly what: string;
  readonly bytes: number;
  /** The most bytes that there may be; none where the size is only told. */
  readonly bound?: number;
}

const kB = 1000;
const everythingOf = (name: string): Promise<Bundle> => bundle(`import * as all from '${name}'; globalThis.all = all;`);

const tokenizer = await everythingOf('@actionclip/tokenizer');
const tensor = await everythingOf('@actionclip/tensor');
const transformer = await everythingOf('@actionclip/transformer');
const browser = await everythingOf('actionclip/browser');

const backend = (name: string): string => `backends/${name}/backend.ts`;
const rows: readonly Row[] = [
  { what: '@actionclip/tokenizer, without a vocabulary', bytes: tokenizer.start.gzip, bound: 6 * kB },
  { what: "  with HTML's names of characters", bytes: tokenizer.all.gzip },
  { what: '@actionclip/tensor, before a device is opened', bytes: tensor.start.gzip, bound: 90 * kB },
  { what: '  with WebAssembly', bytes: tensor.with(backend('wasm')).gzip, bound: 90 * kB },
  { what: '  with WebGPU', bytes: tensor.with(backend('webgpu')).gzip, bound: 90 * kB },
  { what: '  with WebGPU that has subgroup matrices', bytes: tensor.with('gemm/matrix.ts').gzip },
  { what: '  with gpu.js, itself not counted', bytes: tensor.with(backend('gpujs')).gzip },
  { what: '  with all that may ever be fetched', bytes: tensor.all.gzip },
  { what: '@actionclip/transformer and what it needs of tensor', bytes: transformer.start.gzip },
  { what: '  with WebAssembly', bytes: transformer.with(backend('wasm')).gzip },
  { what: '  with WebGPU', bytes: transformer.with(backend('webgpu')).gzip },
  { what: 'actionclip/browser and what it needs of the others', bytes: browser.start.gzip },
  { what: '  with WebAssembly', bytes: browser.with(backend('wasm')).gzip },
  { what: '  with WebGPU', bytes: browser.with(backend('webgpu')).gzip },
];

const printed = (bytes: number): string => `${(bytes / kB).toFixed(1)} kB`;
const width = Math.max(...rows.map(({ what }) => what.length));
console.log('Everything that a package exports, minified, each file compressed by gzip:');
for (const { what, bytes, bound } of rows) {
  const limit = bound === undefined ? '' : `  of at most ${printed(bound)}${bytes > bound ? '  TOO LARGE' : ''}`;
  console.log(`${what.padEnd(width)}  ${printed(bytes).padStart(8)}${limit}`);
}
if (rows.some(({ bytes, bound = Number.POSITIVE_INFINITY }) => bytes > bound)) process.exitCode = 1;
