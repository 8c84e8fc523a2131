// How the tests start the headless Chromium that npm carries.
import { hasSoftwareWebGPU, unpackSoftwareWebGPU } from './software-webgpu.ts';

const FLAGS = [
  '--enable-unsafe-webgpu',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** The unpacked Chromium where npm carries one; elsewhere Playwright's own browser, which has to be installed. */
export function chromiumLaunchOptions(): { args: string[]; executablePath?: string; env?: Record<string, string> } {
  if (!hasSoftwareWebGPU) return { args: FLAGS };
  const { chromium, chromiumEnvironment } = unpackSoftwareWebGPU();
  const inherited = Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return {
    args: [...FLAGS, '--use-webgpu-adapter=swiftshader'],
    executablePath: chromium,
    env: { ...Object.fromEntries(inherited), ...chromiumEnvironment },
  };
}
