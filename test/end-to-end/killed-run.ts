// The program that the kill test starts: `killed-run.ts FOLDER OUTPUT [CHECKPOINT]`, a tiny run with dropout, from the
// start or from a checkpoint, which prints a line after every epoch.
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import { train } from 'actionclip';
import { tinyClips, tinyRun } from './tiny-run.ts';

const [folder = '', output = '', resume] = process.argv.slice(2);
const device = await openDevice('wasm', { threads: 1 });
setDefaultDevice(device);
const run = await tinyRun(await tinyClips(folder), output, {
  network: { drop_out: 0.1 },
  solver: { epochs: 6 },
  ...(resume === undefined ? {} : { resume }),
});
await train({
  ...run,
  checkpointEvery: 1,
  onValidation: ({ epoch }) => process.stdout.write(`epoch ${epoch}\n`),
});
await device.close();
