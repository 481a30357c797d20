/** The light of the picture on the wall around it: a tiny copy, stretched and out of focus. */

import { ambience, root, video } from "./elements.ts";

/** Slow enough to cost nothing and to be noticed by nobody. */
const EVERY_MS = 1_000;

/** Keeps the light in step with the picture, while both can be seen. */
export function followAmbience(): void {
  const context = ambience.getContext("2d", { alpha: false });
  setInterval(() => {
    if (document.hidden || root.dataset["state"] !== "live" || video.videoWidth === 0) return;
    context?.drawImage(video, 0, 0, ambience.width, ambience.height);
  }, EVERY_MS);
}
