/** The devices that the property tests run on: the one list of them, with what each can be asked for. */
import { type Device, type GpuJsMode, openDevice, setDefaultDevice } from '@actionclip/tensor';

export interface TestDevice {
  readonly name: 'reference' | 'wasm' | 'webgpu' | `gpujs ${GpuJsMode}`;
  readonly open: () => Promise<Device>;
  /** Most relative difference from the 64-bit result for a handful of operations. */
  readonly tolerance: number;
  /** The same for exp, log, sin and their like, whose 32-bit versions are approximations. */
  readonly functionTolerance: number;
  /** Random cases of each property. */
  readonly runs: number;
  /** Whether whole numbers are computed in floats of 32 bits: kernels that may leave ±2^23 are refused by name. */
  readonly smallWholeNumbers?: boolean;
}

export const reference: TestDevice = {
  name: 'reference',
  open: () => openDevice('reference'),
  tolerance: 1e-12,
  functionTolerance: 1e-12,
  runs: 40,
};

/** gpu.js, an independent compiler: its own sums and exponentials, in the mode's precision. */
const gpuJs = (mode: GpuJsMode, functionTolerance: number, runs: number): TestDevice => ({
  name: `gpujs ${mode}`,
  open: () => openDevice('gpujs', { mode, allowSoftware: true }),
  tolerance: 2e-6,
  functionTolerance,
  runs,
  smallWholeNumbers: mode !== 'cpu',
});

export const testDevices: readonly TestDevice[] = [
  reference,
  {
    name: 'wasm',
    open: () => openDevice('wasm', { threads: 2, engineFlags: false }),
    tolerance: 2e-6,
    functionTolerance: 2e-5,
    runs: 15,
  },
  {
    name: 'webgpu',
    // SwiftShader: every new shape is a pipeline to compile, hence the few cases.
    open: () => openDevice('webgpu', { allowSoftware: true }),
    tolerance: 2e-6,
    functionTolerance: 1e-4,
    runs: 3,
  },
];

/** With gpu.js too: for what kernels compute, where an independent compiler is a second opinion. */
export const everyDevice: readonly TestDevice[] = [
  ...testDevices,
  gpuJs('cpu', 2e-5, 3),
  gpuJs('webasm', 2e-5, 3),
  gpuJs('webgpu', 1e-4, 1),
];

/** Opens a device and makes it the default one. */
export async function use(device: TestDevice): Promise<Device> {
  const opened = await device.open();
  setDefaultDevice(opened);
  return opened;
}
