/** Which picture is saved: the camera's own, of full size and never encoded as a film, or the one on the screen. Pure. */

import type { Later } from "./later.ts";

/** A person has pressed a button, and looks for what comes of it. */
export const CAMERA_WITHIN_MS = 3_000;

/** Where a picture may come from. */
export interface Sources<P> {
  /** Asks the camera, until the signal says that it takes too long; fails where there is none of it. */
  readonly camera: (signal: AbortSignal) => Promise<P>;
  /** The one that was on the screen when it was asked for. */
  readonly screen: () => Promise<P | undefined>;
}

/** The camera's picture if it comes in time, and otherwise, for whatever reason, the screen's. */
export async function bestPicture<P>({ camera, screen }: Sources<P>, later: Later): Promise<P | undefined> {
  const abort = new AbortController();
  const isLate = new Promise<undefined>((resolve) => {
    abort.signal.addEventListener("abort", () => {
      resolve(undefined);
    });
  });
  const callOff = later(() => {
    abort.abort();
  }, CAMERA_WITHIN_MS);
  const own = await Promise.race([camera(abort.signal).catch(() => undefined), isLate]);
  callOff();
  return own ?? screen();
}
