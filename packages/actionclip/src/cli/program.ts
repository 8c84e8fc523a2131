/** Runs the program from its sources: `npm run actionclip -- COMMAND`. */
import { main } from './main.ts';

await main(process.argv.slice(2));
