/** The picture as it is now, at its full size, into a file. */

import { video } from "./elements.ts";
import { snapshotName } from "./numbers.ts";

/** JPEG at a quality where nobody sees the difference. */
const QUALITY = 0.95;

/** Saves a snapshot; gives the file's name, or `undefined` when there is no picture. */
export async function saveSnapshot(node: string, camera: string): Promise<string | undefined> {
  const { videoWidth: width, videoHeight: height } = video;
  if (width === 0 || height === 0) return undefined;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d")?.drawImage(video, 0, 0, width, height);
  const blob = await new Promise<Blob | null>((resolve) => {
    canvas.toBlob(resolve, "image/jpeg", QUALITY);
  });
  if (blob === null) return undefined;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = snapshotName(node, camera, new Date(), blob.type === "image/jpeg" ? "jpg" : "png");
  link.click();
  // The browser has its own hold on the file by then.
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
  }, 10_000);
  return link.download;
}
