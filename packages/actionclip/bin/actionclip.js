#!/usr/bin/env node
// The program of the package, as compiled into dist.
import { existsSync } from 'node:fs';
import module from 'node:module';

// From Node 22.8 on, compiled modules are kept between runs, so that the program starts sooner.
module.enableCompileCache?.();

const program = new URL('../dist/cli/main.js', import.meta.url);
if (existsSync(program)) {
  const { main } = await import(program.href);
  await main(process.argv.slice(2));
} else {
  process.stderr.write('actionclip is not compiled yet; run `npm run build` in the root of the repository\n');
  process.exitCode = 1;
}
