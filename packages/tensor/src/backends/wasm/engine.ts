/** What the JavaScript engine's WebAssembly can do, and the one flag that lets it do more. */

/** A module with one function that uses f32x4.relaxed_madd. */
const relaxedProbe = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b, 3, 2, 1, 0, 0x0a, 0x0d, 1, 0x0b, 0,
  0x20, 0, 0x20, 1, 0x20, 2, 0xfd, 0x85, 2, 0x0b,
]);

export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(relaxedProbe);
}

/**
 * Switches relaxed SIMD on in Node 20, where V8 has it behind a flag; later versions have it by default. The flag
 * holds for the whole process and must be set before the first kernel is compiled.
 */
export async function enableEngineFlags(): Promise<void> {
  const version = typeof process === 'undefined' ? undefined : process.versions?.node;
  if (version === undefined || !/^20\./.test(version) || hasRelaxedSimd()) return;
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--experimental-wasm-relaxed-simd');
}
