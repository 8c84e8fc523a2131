/** The points of a curve that grows, few enough to be drawn at any time. */

/** How far along, and the value there. */
export type Point = readonly [x: number, y: number];

/**
 * The means of neighbouring points: at most one for each of `columns` equal parts of the way to `end`, in their order.
 * The last point stays as it is, so that the curve ends where the work stands.
 */
export function binned(points: readonly Point[], end: number, columns: number): Point[] {
  const bins = new Map<number, Point[]>();
  for (const point of points) {
    const column = Math.min(columns - 1, Math.floor((point[0] * columns) / end));
    const bin = bins.get(column);
    if (bin === undefined) bins.set(column, [point]);
    else bin.push(point);
  }
  const means = [...bins.values()].map((bin): Point => {
    const sum = bin.reduce<Point>(([x, y], [px, py]) => [x + px, y + py], [0, 0]);
    return [sum[0] / bin.length, sum[1] / bin.length];
  });
  const last = points.at(-1);
  return last === undefined ? [] : [...means.slice(0, -1), last];
}

/** A round number that is not below `value`: 1, 2 or 5 times a power of ten. */
export function roundAbove(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5, 10].find((step) => step * power >= value) ?? 10);
}
