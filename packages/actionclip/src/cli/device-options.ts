/** The options of every command that computes: on which device, and how. */
import type { Device } from '@actionclip/tensor';
import { type OptionTable, oneOf, type Values, wholeFrom } from './options.ts';
import type { Terminal } from './terminal.ts';

/** To be spread into a command's table. */
export const deviceOptions = {
  device: {
    place: 'NAME',
    kind: oneOf('auto', 'webgpu', 'wasm', 'reference'),
    help: 'auto (a GPU where there is one), webgpu, wasm or reference',
  },
  threads: { place: 'N', kind: wholeFrom(1), help: 'threads of the wasm device' },
  engineFlags: {
    place: 'on|off',
    kind: oneOf('on', 'off'),
    help: "whether the wasm device may switch the JavaScript engine's vector flags on",
  },
} as const satisfies OptionTable;

/**
 * Opens the device that the options ask for, says what it is, and makes it the one on which tensors are made that name
 * none. The caller closes it.
 * @throws DeviceError where there is no such device here.
 */
export async function openDeviceFrom(
  { device: name = 'auto', threads, engineFlags }: Values<typeof deviceOptions>,
  terminal: Pick<Terminal, 'say'>,
): Promise<Device> {
  const { automaticDevice, openDevice, setDefaultDevice } = await import('@actionclip/tensor');
  const wishes = {
    ...(threads === undefined ? {} : { threads }),
    ...(engineFlags === undefined ? {} : { engineFlags: engineFlags === 'on' }),
  };
  const automatic = name === 'auto' ? await automaticDevice() : undefined;
  const wasmAsWished = Object.keys(wishes).length > 0 && automatic?.device.name === 'wasm';
  const device =
    automatic === undefined || wasmAsWished
      ? await openDevice(automatic === undefined ? name : 'wasm', wishes)
      : automatic.device;
  if (automatic?.device.name === 'wasm') terminal.say(automatic.reason);
  terminal.say(`Device: ${(await device.backend()).description}`);
  setDefaultDevice(device);
  return device;
}
