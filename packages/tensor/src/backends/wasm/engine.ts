/** What the JavaScript engine's WebAssembly can do, and the one flag that lets it do more. */

/** A module with one function that uses f32x4.relaxed_madd. */
const relaxedProbe = new Uint8Array([
  0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 8, 1, 0x60, 3, 0x7b, 0x7b, 0x7b, 1, 0x7b, 3, 2, 1, 0, 0x0a, 0x0d, 1, 0x0b, 0,
  0x20, 0, 0x20, 1, 0x20, 2, 0xfd, 0x85, 2, 0x0b,
]);

export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(relaxedProbe);
}

const revectorize = '--experimental-wasm-revectorize';

/**
 * V8's flags that are worth having, by Node's major version: relaxed SIMD, which Node 20 does not have by default, and
 * from Node 24 on the joining of neighbouring 128-bit vectors to 256-bit ones. Version 22 knows the second flag without
 * effect; where a flag is unknown V8 prints a complaint, so none is set by guess.
 */
function usefulFlags(major: number): readonly string[] {
  if (major === 20) return ['--experimental-wasm-relaxed-simd'];
  return major >= 24 && major <= 26 ? [revectorize] : [];
}

let vectorsJoined = false;

/** Whether the flag is set that lets the engine join two 128-bit vectors to one, on processors that have those. */
export const joinsVectors = (): boolean => vectorsJoined;

/** Node's major version, or undefined elsewhere. */
export function nodeMajor(): number | undefined {
  const version = typeof process === 'undefined' ? undefined : process.versions?.node;
  return version === undefined ? undefined : Number.parseInt(version, 10);
}

/** Sets the flags. They hold for the whole process and must be set before the first kernel is compiled. */
export async function enableEngineFlags(): Promise<void> {
  const major = nodeMajor();
  const flags = major === undefined ? [] : usefulFlags(major);
  if (flags.length === 0) return;
  const { setFlagsFromString } = await import('node:v8');
  for (const flag of flags) setFlagsFromString(flag);
  vectorsJoined = flags.includes(revectorize);
}
