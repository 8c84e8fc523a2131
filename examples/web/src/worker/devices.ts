/** Opens the device that was chosen, and says what it is. */
import { type Device, openDevice, setDefaultDevice, webgpuAdapters } from '@actionclip/tensor';
import type { DeviceChoice, DeviceReport } from '../protocol.ts';

const openers: Readonly<Record<DeviceChoice, () => Promise<Device>>> = {
  auto: () => openDevice('auto'),
  // A person who asks for WebGPU gets it, be it in software.
  webgpu: () => openDevice('webgpu', { allowSoftware: true }),
  'wasm-threads': () => openDevice('wasm'),
  'wasm-single': () => openDevice('wasm', { threads: 1 }),
};

/** Opens a device and makes it the home of all tensors. */
export async function openChosen(choice: DeviceChoice): Promise<{ device: Device; report: DeviceReport }> {
  const device = await openers[choice]();
  setDefaultDevice(device);
  const { description } = await device.backend();
  const features = device.name === 'webgpu' ? await adapterFeatures(description) : [];
  return { device, report: { name: device.name, description, features } };
}

async function adapterFeatures(description: string): Promise<readonly string[]> {
  const adapters = await webgpuAdapters();
  return adapters.find((adapter) => adapter.description === description)?.features ?? [];
}
