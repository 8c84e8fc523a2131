/** WebGPU in Node: the software adapter where it is asked for, and `navigator.gpu` for engines written for browsers. */
import type { Setting } from '../harness/contender.ts';

/** With `software`, lets Dawn find the adapter that the test suite's packages carry, unless a driver is named already. */
export async function findSoftware({ software }: Setting): Promise<void> {
  if (!software || process.env.VK_ICD_FILENAMES) return;
  const { hasSoftwareWebGPU, preloadSoftwareVulkan } = await import('../../tools/software-webgpu.ts');
  if (hasSoftwareWebGPU) preloadSoftwareVulkan();
}

/** Puts Dawn where a browser has WebGPU. */
export async function offerWebGPU(setting: Setting): Promise<void> {
  await findSoftware(setting);
  const { create, globals } = await import('webgpu');
  Object.assign(globalThis, globals);
  const gpu = create(['enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia']);
  const known = (globalThis as { navigator?: object }).navigator;
  const navigator = Object.assign(Object.create(known ?? null), { gpu, userAgent: 'Node.js' });
  Object.defineProperty(globalThis, 'navigator', { value: navigator, configurable: true });
}
