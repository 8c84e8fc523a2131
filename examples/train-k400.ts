/**
 * The main job. Without options it draws a data set of actions, trains a small ActionCLIP on it from scratch and writes
 * a report; with `--config` it is the paper's run; with lists or a table it trains on anyone's clips.
 */
import { automaticDevice, type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { defaultRun } from './train-k400/default-run.ts';
import { type Options, parseOptions, usage } from './train-k400/options.ts';
import { clipsRun, configRun } from './train-k400/own-clips.ts';

type Run = (options: Options) => Promise<void>;

function runOf(options: Options): Run {
  if (options.config !== undefined) return configRun;
  return options.trainList !== undefined || options.clipsTable !== undefined ? clipsRun : defaultRun;
}

/** The device asked for, and a line about what it is. */
async function deviceOf({ device: name = 'auto', threads, engineFlags }: Options): Promise<Device> {
  const automatic = name === 'auto' ? await automaticDevice() : undefined;
  const wishes = {
    ...(threads === undefined ? {} : { threads }),
    ...(engineFlags === undefined ? {} : { engineFlags: engineFlags === 'on' }),
  };
  const isOpen = automatic !== undefined && (Object.keys(wishes).length === 0 || automatic.device.name !== 'wasm');
  const device = isOpen
    ? automatic.device
    : await openDevice(automatic?.device.name === 'wasm' ? 'wasm' : name, wishes);
  if (automatic !== undefined) process.stderr.write(`${automatic.reason}\n`);
  process.stderr.write(`Device: ${(await device.backend()).description}\n`);
  return device;
}

async function main(args: readonly string[]): Promise<void> {
  const options = parseOptions(args);
  if (options === 'help') {
    process.stdout.write(usage());
    return;
  }
  const device = await deviceOf(options);
  setDefaultDevice(device);
  try {
    await runOf(options)(options);
  } finally {
    await device.close();
  }
}

/** The errors of these packages are sentences for the user; any other is a fault of the program. */
const isForUser = (error: unknown): error is Error => error instanceof Error && 'hint' in error;

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${isForUser(error) ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
