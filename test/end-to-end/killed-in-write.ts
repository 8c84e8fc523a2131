// The program that the test of killed writes starts: `killed-in-write.ts FOLDER OUTPUT INSTANT`, a short run that kills
// itself with SIGKILL at an instant of its writing.
import { openDevice, setDefaultDevice } from '@actionclip/tensor';
import { train } from 'actionclip';
import { shortRun, tinyClips } from './tiny-run.ts';
import { nameOf, watchWrites } from './watched-writes.ts';

const [folder = '', output = '', last] = process.argv.slice(2);
setDefaultDevice(await openDevice('wasm', { threads: 1 }));
const run = await shortRun(await tinyClips(folder), output);
watchWrites(output, (instant) => {
  if (nameOf(instant) === last) process.kill(process.pid, 'SIGKILL');
});
await train(run);
