/** Buttons and keys. */

import { type Camera, lacking, wordsForLack } from "../lib/index.ts";
import { buttons, root, stage, video } from "./elements.ts";
import { hasSound, play } from "./player.ts";
import { saveSnapshot } from "./snapshot.ts";
import { notify } from "./toast.ts";
import { isTyping } from "./typing.ts";

/** For the names of files. */
interface Names {
  readonly node: string;
  readonly shown: () => string;
  /** Where this page is served over https, if it is. */
  readonly https: string | undefined;
}

/** iPhones know full screen for a video alone. */
type PhoneVideo = HTMLVideoElement & { webkitEnterFullscreen?: () => void };

/** Makes buttons and keys work. */
export function followControls(camera: Camera, names: Names): void {
  const isWatching = (): boolean => camera.state.state !== "idle";

  const connect = (): void => {
    if (root.dataset["tap"] === "true") {
      void play();
      return;
    }
    // Anew also when it waits: the person does not want to.
    camera.stop();
    camera.start();
  };
  const disconnect = (): void => {
    camera.stop();
    buttons.connect.focus({ preventScroll: true });
  };
  const sound = (): void => {
    if (!hasSound()) return;
    video.muted = !video.muted;
    void play();
  };
  const snapshot = (): void => {
    void saveSnapshot(camera, names.node, names.shown()).then((name) => {
      notify(name === undefined ? "There is no picture to save yet." : `Saved ${name}`);
    });
  };

  buttons.connect.addEventListener("click", connect);
  buttons.disconnect.addEventListener("click", disconnect);
  buttons.change.addEventListener("click", () => {
    location.hash = "";
  });
  buttons.sound.addEventListener("click", sound);
  buttons.snapshot.addEventListener("click", snapshot);
  buttons.fullscreen.addEventListener("click", fullscreen);
  stage.addEventListener("dblclick", fullscreen);
  video.addEventListener("volumechange", showSound);
  document.addEventListener("fullscreenchange", showFullscreen);
  document.addEventListener("fullscreenchange", () => {
    sayWhetherItStaysOn(names.https);
  });
  buttons.fullscreen.hidden = !document.fullscreenEnabled && !("webkitEnterFullscreen" in video);
  showSound();

  addEventListener("keydown", (event) => {
    if (isTyping(event) || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    switch (event.key.toLowerCase()) {
      case "m":
        sound();
        break;
      case "s":
        snapshot();
        break;
      case "f":
        fullscreen();
        break;
      case "c":
        if (isWatching()) disconnect();
        else connect();
        break;
    }
  });
}

function fullscreen(): void {
  if (document.fullscreenElement !== null) void document.exitFullscreen();
  else if (document.fullscreenEnabled) void root.requestFullscreen({ navigationUI: "hide" }).catch(() => undefined);
  else (video as PhoneVideo).webkitEnterFullscreen?.();
}

function showSound(): void {
  const heard = !video.muted;
  buttons.sound.setAttribute("aria-pressed", String(heard));
  buttons.sound.setAttribute("aria-label", "Sound");
  buttons.sound.title = heard ? "Mute (M)" : "Sound (M)";
}

function showFullscreen(): void {
  buttons.fullscreen.setAttribute("aria-pressed", String(document.fullscreenElement !== null));
}

let hasSaidSo = false;

/** Whoever fills the screen with the picture means to go on looking; once is enough. */
function sayWhetherItStaysOn(https: string | undefined): void {
  if (hasSaidSo || isSecureContext || document.fullscreenElement === null || !lacking().includes("wakeLock")) return;
  hasSaidSo = true;
  notify(wordsForLack("wakeLock", isSecureContext, https));
}
