/** What a bundler leaves of the packages where a program imports only a part of them. */

import { expect, it } from 'vitest';
import { type Bundle, bundle, type Fetched } from '../../tools/bundle.ts';

const backends = /backends\/(reference|wasm|webgpu|gpujs)\//;

const imported = (names: string, from: string): Promise<Bundle> =>
  bundle(`import { ${names} } from '${from}'; console.log(${names});`);

it('the tokenizer brings nothing of the engine, and the names of characters only when they are asked for', async () => {
  const { start, all, with: fetched } = await imported('createClipTokenizer', '@actionclip/tokenizer');
  expect(
    start.modules.filter((module) => !module.startsWith('packages/tokenizer/') && module !== 'program.js'),
  ).toEqual([]);
  const own = ({ modules }: Fetched): string[] => modules.filter((module) => module.startsWith('packages/'));
  expect(own(all)).toEqual(own(start));
  expect(fetched('entities/dist/index.js').modules.some((module) => module.includes('decode-data-html'))).toBe(true);
});

it.each(['tensor', 'Tensor', 'Linear', 'AdamW', 'openDevice'])(
  '%s brings no backend before a device is opened',
  async (name) => {
    const { start, with: fetched } = await imported(name, '@actionclip/tensor');
    expect(start.modules.some((module) => module.startsWith('packages/tensor/'))).toBe(true);
    expect(start.modules.filter((module) => backends.test(module))).toEqual([]);
    const others = fetched('backends/wasm/backend.ts').modules.filter((module) =>
      /backends\/(webgpu|gpujs)\//.test(module),
    );
    expect(others).toEqual([]);
    expect(fetched('backends/webgpu/backend.ts').modules.filter((module) => module.includes('backends/wasm/'))).toEqual(
      [],
    );
  },
);

it('one loss brings no optimizer, no schedule and no reader of files', async () => {
  const { start } = await imported('mseLoss', '@actionclip/tensor');
  expect(start.modules.filter((module) => /src\/(optim|io)\//.test(module))).toEqual([]);
});

it('the table of types brings no engine at all', async () => {
  const { start } = await imported('dtypes', '@actionclip/tensor');
  expect(start.modules.filter((module) => /src\/(ops|compile|runtime|backends)\//.test(module))).toEqual([]);
});

it('the prompts of ActionCLIP bring neither the engine nor the tokenizer', async () => {
  const { all } = await imported('formatPrompts', 'actionclip/browser');
  expect(all.modules.filter((module) => !module.startsWith('packages/actionclip/') && module !== 'program.js')).toEqual(
    [],
  );
});
