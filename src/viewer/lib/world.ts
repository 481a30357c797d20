/** Time and chance, as the browser has them. */

/** A random number from 0 up to 1, good enough for ids that nobody shall guess. */
export function chance(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

/** The core's clock as `Date.now()` counts. */
export function wallClock(at: number): number {
  return Math.round(Date.now() - performance.now() + at);
}

/** How long what ends then is good for. */
export function lifeOf(ends: number | undefined): number | undefined {
  return ends === undefined ? undefined : ends - Date.now();
}
