/** Measures the latency of a test pattern that carries the time in its first row; other pictures give nothing. */

import { ageMs, blockSide, readStamp } from "../lib/index.ts";
import { video } from "./elements.ts";

/** Reading one picture a second tells enough. */
const EVERY_MS = 1_000;
/** Beyond this the two clocks are not in step, and the number would be a lie. */
const BELIEVABLE_MS = 10_000;

/** Measures from now on; the result is asked for when it is needed. */
export function measureLatency(): () => number | undefined {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  let latest: number | undefined;
  if (!("requestVideoFrameCallback" in video) || context === null) return () => undefined;
  setInterval(() => {
    video.requestVideoFrameCallback(() => {
      const now = Date.now();
      latest = undefined;
      const side = blockSide(video.videoWidth, video.videoHeight);
      if (side === undefined) return;
      canvas.width = side * 40;
      canvas.height = side;
      context.drawImage(video, 0, 0, canvas.width, side, 0, 0, canvas.width, side);
      const stamp = readStamp(context.getImageData(0, 0, canvas.width, side).data, side);
      if (stamp === undefined) return;
      const age = ageMs(now, stamp);
      latest = age >= -50 && age < BELIEVABLE_MS ? Math.max(0, age) : undefined;
    });
  }, EVERY_MS);
  return () => latest;
}
