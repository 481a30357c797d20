/** The light of the picture on the wall around it: a tiny copy, stretched and out of focus. */

import { ambience, root, video } from "./elements.ts";

/**
 * Out of focus once, in the small copy: a blur by CSS is made anew over the whole screen for every frame of the picture,
 * which costs half of the frames where no GPU draws.
 */
const FOCUS = "blur(1px) saturate(1.25)";

/** Slow enough to cost nothing and to be noticed by nobody. */
const EVERY_MS = 1_000;

/** Keeps the light in step with the picture, while both can be seen. */
export function followAmbience(): void {
  const context = ambience.getContext("2d", { alpha: false });
  if (context) context.filter = FOCUS;
  setInterval(() => {
    if (document.hidden || root.dataset["state"] !== "live" || video.videoWidth === 0) return;
    context?.drawImage(video, 0, 0, ambience.width, ambience.height);
  }, EVERY_MS);
}
