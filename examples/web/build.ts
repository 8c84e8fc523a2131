/** Builds the page: `npm run web:build`. */
import { buildPage } from './build-page.ts';

await buildPage();
console.log('The page is in examples/web/dist: a folder of plain files, for any host and any path.');
