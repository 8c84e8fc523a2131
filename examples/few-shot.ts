/**
 * Few-shot recognition from the sources: `actionclip few-shot`, trained on few clips of each class, with means over seeds.
 *
 *     npx tsx --conditions=@actionclip/source examples/few-shot.ts --clips-table lists/clips.csv --root my-clips --shots 2,4
 */
import { main } from 'actionclip/cli';

await main(['few-shot', ...process.argv.slice(2)]);
