/** The picture of this moment into a file: the camera's own, or the one on the screen where the camera gives none. */

import { type Camera, fullSnapshot } from "../lib/index.ts";
import { bestPicture } from "./bestpicture.ts";
import { video } from "./elements.ts";
import { later } from "./later.ts";
import { snapshotName } from "./numbers.ts";
import { save } from "./save.ts";

/** JPEG where hardly anybody sees a difference, and a slow network still brings it in time. */
const CAMERA_QUALITY = 90;
/** From the screen it goes nowhere. */
const SCREEN_QUALITY = 0.95;

/** Saves a snapshot of the camera that is shown; gives the file's name, or `undefined` when there is no picture. */
export async function saveSnapshot(camera: Camera, node: string, shown: string): Promise<string | undefined> {
  const at = new Date();
  const screen = onScreen();
  if (screen === undefined) return undefined;
  const own = (signal: AbortSignal): Promise<Blob> => fullSnapshot(camera, { camera: shown, quality: CAMERA_QUALITY, signal });
  const picture = await bestPicture({ camera: own, screen: () => encoded(screen) }, later);
  if (picture === undefined) return undefined;
  const name = snapshotName(node, shown, at, picture.type === "image/jpeg" ? "jpg" : "png");
  save(picture, name);
  return name;
}

/** What is seen now: while the camera is asked the film goes on. */
function onScreen(): HTMLCanvasElement | undefined {
  const { videoWidth: width, videoHeight: height } = video;
  if (width === 0 || height === 0) return undefined;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.drawImage(video, 0, 0, width, height);
  return canvas;
}

async function encoded(canvas: HTMLCanvasElement): Promise<Blob | undefined> {
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, "image/jpeg", SCREEN_QUALITY);
  });
  return blob ?? undefined;
}
