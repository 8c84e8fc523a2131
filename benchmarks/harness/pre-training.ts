/** Models that are trained on what is built in, which other training then starts from: each is made once, and kept. */
import { execFile } from 'node:child_process';
import { access, rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const CHECKPOINT = 'last.safetensors';

/** On pictures with captions; and from there on the built-in actions. */
export const preTrainings = ['pairs', 'actions'] as const;
export type PreTraining = (typeof preTrainings)[number];

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** The program, with its TypeScript as it lies in the repository. */
export async function actionclip(args: readonly string[]): Promise<{ readonly stderr: string }> {
  const program = join(repository, 'packages/actionclip/src/cli/program.ts');
  return promisify(execFile)(
    process.execPath,
    ['--conditions=@actionclip/source', '--import', 'tsx', program, ...args],
    {
      cwd: repository,
      maxBuffer: 2 ** 26,
    },
  );
}

/**
 * The checkpoint of a pre-training by `actionclip train`, seed 1; made where it is not there yet, which takes minutes.
 */
export async function preTrained(name: PreTraining, threads: string): Promise<string> {
  const folder = join(tmpdir(), `actionclip-pre-training-${name}`);
  const checkpoint = join(folder, CHECKPOINT);
  if (await exists(checkpoint)) return checkpoint;
  const what = name === 'pairs' ? ['--built-in', 'pairs'] : ['--init', await preTrained('pairs', threads)];
  const partial = `${folder}.partial`;
  const saved = join(partial, CHECKPOINT);
  await actionclip([
    ...['train', ...what, '--seed', '1', '--device', 'wasm', '--threads', threads, '--out', partial],
    ...((await exists(saved)) ? ['--resume', saved] : []),
  ]);
  await rename(partial, folder);
  return checkpoint;
}
