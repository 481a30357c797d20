/** The light of the picture on the wall around it: a tiny copy, stretched and out of focus. */

import { ambience, root, video } from "./elements.ts";

/**
 * Out of focus once, in the small copy: a blur by CSS is made anew over the whole screen for every frame of the picture,
 * which costs half of the frames where no GPU draws.
 */
const FOCUS = "blur(1px) saturate(1.25)";

/** Slow enough to cost nothing and to be noticed by nobody. */
const EVERY_MS = 1_000;

const context = ambience.getContext("2d", { alpha: false });
if (context) context.filter = FOCUS;

/** Keeps the light in step with the picture, while both can be seen. */
export function followAmbience(): void {
  setInterval(() => {
    if (!document.hidden && root.dataset["picture"] === "true") drawAmbience();
  }, EVERY_MS);
}

/** Takes the light of the picture as it is now. */
export function drawAmbience(): void {
  if (video.videoWidth > 0) context?.drawImage(video, 0, 0, ambience.width, ambience.height);
}
