// Software WebGPU from npm alone: unpacks the SwiftShader driver, the Vulkan loader and the headless Chromium
// of @sparticuz/chromium, and makes Dawn (the `webgpu` package) find that driver inside a Node process.

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

/** Where the software driver and the browser lie; every path is absolute. */
export interface SoftwareWebGPU {
  /** The Vulkan loader that Dawn opens by its name. */
  readonly vulkanLoader: string;
  /** The driver manifest that `VK_ICD_FILENAMES` has to name. */
  readonly driverManifest: string;
  /** The headless Chromium executable. */
  readonly chromium: string;
  /** Variables without which that Chromium finds neither its libraries nor a font. */
  readonly chromiumEnvironment: Readonly<Record<string, string>>;
}

const ARCHIVES = ['swiftshader.tar.br', 'al2023.tar.br', 'fonts.tar.br'] as const;
const TAR_BLOCK = 512;

/** Linux's flag that keeps a library loaded after `dlclose`, which Node calls on whatever is not an addon. */
const RTLD_NODELETE = 0x1000;

/** True where npm carries a software adapter: @sparticuz/chromium is built for Linux on x64 only. */
export const hasSoftwareWebGPU: boolean = process.platform === 'linux' && process.arch === 'x64';

/** Writes the folders and plain files of a ustar archive below `folder`. */
function extractTar(archive: Buffer, folder: string): void {
  const field = (start: number, length: number): string =>
    archive.toString('latin1', start, start + length).split('\0', 1)[0] ?? '';
  for (let header = 0; header + TAR_BLOCK <= archive.length; ) {
    const name = field(header, 100);
    if (name === '') return; // an archive ends with empty blocks
    const size = Number.parseInt(field(header + 124, 12), 8);
    const path = join(folder, name);
    const data = header + TAR_BLOCK;
    if (name.endsWith('/')) {
      mkdirSync(path, { recursive: true });
    } else {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, archive.subarray(data, data + size), { mode: 0o755 });
    }
    header = data + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
}

/** Unpacks the package's archives and its browser into `folder`, which comes into being whole or not at all. */
function unpackInto(folder: string, archives: string): void {
  const unfinished = `${folder}.${process.pid}`;
  const read = (name: string): Buffer => brotliDecompressSync(readFileSync(join(archives, name)));
  mkdirSync(unfinished, { recursive: true });
  try {
    for (const name of ARCHIVES) extractTar(read(name), unfinished);
    const fonts = join(unfinished, 'fonts.conf'); // names /tmp/fonts and /tmp/fonts-cache
    writeFileSync(fonts, readFileSync(fonts, 'utf8').replaceAll('/tmp/', `${folder}/`));
    writeFileSync(join(unfinished, 'chromium'), read('chromium.br'), { mode: 0o755 });
    renameSync(unfinished, folder);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another process that unpacked at the same time and finished first leaves nothing to do.
    if (!existsSync(join(folder, 'chromium'))) throw error;
  }
}

/**
 * Unpacks the driver and the browser below `node_modules/.cache`, once (about three seconds), and says where they are.
 * Throws where {@link hasSoftwareWebGPU} is false.
 */
export function unpackSoftwareWebGPU(): SoftwareWebGPU {
  if (!hasSoftwareWebGPU) {
    throw new Error(
      `No software WebGPU adapter comes from npm for ${process.platform}-${process.arch}, only for linux-x64: use a machine with a real adapter.`,
    );
  }
  const entry = createRequire(import.meta.url).resolve('@sparticuz/chromium');
  const root = join(dirname(entry), '..', '..');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const folder = fileURLToPath(new URL(`../node_modules/.cache/chromium-${version}`, import.meta.url));
  const chromium = join(folder, 'chromium');
  if (!existsSync(chromium)) unpackInto(folder, join(root, 'bin'));
  return {
    vulkanLoader: join(folder, 'libvulkan.so.1'),
    driverManifest: join(folder, 'vk_swiftshader_icd.json'),
    chromium,
    chromiumEnvironment: { LD_LIBRARY_PATH: join(folder, 'lib'), FONTCONFIG_PATH: folder },
  };
}

/**
 * Makes Dawn find the software driver in this process; call it before the first `create([])` of the `webgpu` package.
 * A `VK_ICD_FILENAMES` that is already set is kept, so that a real driver can be named instead. Where npm carries no
 * software adapter, warns and leaves the process to the adapters that the machine has.
 */
export function preloadSoftwareVulkan(): void {
  if (!hasSoftwareWebGPU) {
    console.warn(
      `WebGPU tests need a real adapter here: npm carries a software adapter for linux-x64 only, not for ${process.platform}-${process.arch}.`,
    );
    return;
  }
  const { driverManifest, vulkanLoader } = unpackSoftwareWebGPU();
  process.env.VK_ICD_FILENAMES ??= driverManifest;
  const flags = constants.dlopen.RTLD_NOW | constants.dlopen.RTLD_GLOBAL | RTLD_NODELETE;
  try {
    process.dlopen({ exports: {} }, vulkanLoader, flags);
  } catch (error) {
    // The loader is no Node addon, which Node reports after it has loaded it: that is all that is wanted.
    if (!(error instanceof Error && error.message.includes('did not self-register'))) throw error;
  }
}
