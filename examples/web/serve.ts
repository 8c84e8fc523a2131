/** Serves the built page on this machine, until it is stopped: `npm run web`. */
import { fileURLToPath } from 'node:url';
import { openPageServer } from './server.ts';

const usual = 8780;
const folder = fileURLToPath(new URL('dist', import.meta.url));

const { address } = await openPageServer(folder, [...Array.from({ length: 10 }, (_, at) => usual + at), 0]);
console.log(`The page is at ${address} (Ctrl-C ends it).`);
