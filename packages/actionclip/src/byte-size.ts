/** Lengths of files in words. */

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** `598.6 MB`, in powers of a thousand, as shops and the hub count. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** power;
  return `${power === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${UNITS[power]}`;
}
