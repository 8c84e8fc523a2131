/** Times in a video as a person writes them. */

/** Seconds as `m:ss` or `h:mm:ss`, with `digits` decimals. */
export function timeText(seconds: number, digits = 0): string {
  const scale = 10 ** digits;
  const rounded = Math.round(Math.max(0, seconds) * scale);
  const whole = Math.floor(rounded / scale);
  const decimals = digits === 0 ? '' : `.${String(rounded % scale).padStart(digits, '0')}`;
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (value: number): string => String(value).padStart(2, '0');
  const clock = hours > 0 ? `${hours}:${padded(minutes)}` : `${minutes}`;
  return `${clock}:${padded(rest)}${decimals}`;
}

/** The decimals, 0 or 1, that a list of times needs so that tenths of a second are not lost. */
export function digitsFor(times: readonly number[]): number {
  return times.every((time) => Math.abs(time - Math.round(time)) < 0.05) ? 0 : 1;
}

const MINUTE = 60;

/** How to write the times of one video all alike: tenths of seconds where all lie within a minute, else `m:ss`. */
export function timeFormat(times: readonly number[]): (seconds: number) => string {
  return times.some((time) => time >= MINUTE) ? (time) => timeText(time) : (time) => `${time.toFixed(1)}s`;
}
