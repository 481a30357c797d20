/** The video element: plays what comes, starts muted, tells when a picture is really seen. */

import { root, video } from "./elements.ts";

/** Shows a stream; without one, only the last picture's light stays. */
export function show(stream: MediaStream | undefined): void {
  if (stream !== undefined && video.srcObject === stream) return;
  root.dataset["picture"] = "false";
  if (stream === undefined) return;
  video.srcObject = stream;
  void play();
}

/** Plays; falls back to no sound, and then to asking for a tap, as browsers demand. */
export async function play(): Promise<void> {
  try {
    await video.play();
    root.dataset["tap"] = "false";
  } catch (error) {
    // Another stream has come in between: its own call of play counts.
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    if (video.muted) {
      root.dataset["tap"] = "true";
    } else {
      video.muted = true;
      await play();
    }
  }
}

/** Whoever has answered a call wants to hear it; the tap that did so is leave to sound. */
export function unmute(): void {
  video.muted = false;
}

/** Calls `seen` for the first picture of each stream that is on the screen. */
export function onFirstPicture(seen: (time: number) => void): void {
  const mark = (): void => {
    root.dataset["picture"] = root.dataset["mood"] = "true";
    seen(Date.now());
  };
  video.addEventListener("loadstart", () => {
    const before = video.srcObject;
    if ("requestVideoFrameCallback" in video) {
      video.requestVideoFrameCallback(() => {
        if (video.srcObject === before) mark();
      });
    } else {
      (video as HTMLVideoElement).addEventListener("playing", mark, { once: true });
    }
  });
}

/** Whether there is sound to hear. */
export function hasSound(): boolean {
  return video.srcObject instanceof MediaStream && video.srcObject.getAudioTracks().length > 0;
}
