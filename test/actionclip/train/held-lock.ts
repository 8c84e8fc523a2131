// The program that the test of run locks starts: `held-lock.ts FOLDER` takes the folder, says so, and waits; SIGINT ends
// it like the command line's second interruption, without any cleaning up of its own.
import { takeRunLock } from '../../../packages/actionclip/src/train/run-lock.ts';

await takeRunLock(process.argv[2] ?? '');
process.on('SIGINT', () => process.exit(130));
process.stdout.write('held\n');
setInterval(() => {}, 1000);
