#!/usr/bin/env node
// The program of the package, as compiled into dist.
import { main } from '../dist/cli/main.js';

await main(process.argv.slice(2));
