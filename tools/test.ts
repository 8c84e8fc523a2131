// `npm test`: the lint, the type checks, what would be published, and the tests, each announced, all run even where an
// earlier one fails, so that one call tells everything. Arguments go to vitest: `npm test -- --project node test/tensor`.

import { spawnSync } from 'node:child_process';

interface Step {
  readonly name: string;
  /** The npm script that runs the step. */
  readonly script: string;
  readonly arguments: readonly string[];
}

const STEPS: readonly Step[] = [
  { name: 'lint', script: 'lint', arguments: [] },
  { name: 'type check', script: 'typecheck', arguments: [] },
  { name: 'packages', script: 'packages', arguments: [] },
  { name: 'sizes', script: 'sizes', arguments: [] },
  { name: 'tests', script: 'vitest', arguments: process.argv.slice(2) },
];

function passes(step: Step): boolean {
  console.log(`\n== ${step.name}: npm run ${step.script}`);
  // On Windows npm is a script of the shell, which spawn finds only through a shell.
  const { status, error } = spawnSync('npm', ['run', '--silent', step.script, '--', ...step.arguments], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  if (error) console.error(`npm could not be started: ${error.message}`);
  return status === 0;
}

const failed = STEPS.filter((step) => !passes(step));
if (failed.length > 0) {
  console.error(`\nnpm test failed in: ${failed.map(({ name, script }) => `${name} (npm run ${script})`).join(', ')}`);
  process.exitCode = 1;
}
