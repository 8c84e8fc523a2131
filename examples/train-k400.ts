/**
 * The main job: `actionclip train` straight from the sources. Without options it draws a data set of actions, trains a
 * small ActionCLIP on it from scratch and writes a report; with `--config` it is the paper's run; with lists or a table
 * it trains on anyone's clips.
 */
import { main } from 'actionclip/cli';

await main(['train', ...process.argv.slice(2)]);
