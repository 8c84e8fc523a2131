/** Long lists put into the page part by part, so that it answers in between. */

/** Elements that are made before the page is heard and drawn. */
export const portion = 50;

/**
 * Goes on with work that yields after each element, some at once and more after every picture.
 * @returns Stops it.
 */
export function inPortions(work: Iterator<void>): () => void {
  let next = 0;
  const goOn = (): void => {
    for (let made = 0; made < portion; made++) if (work.next().done) return;
    next = requestAnimationFrame(goOn);
  };
  goOn();
  return () => cancelAnimationFrame(next);
}
