/** The button to talk with: held, or tapped; the T key does the same. */

import { type Camera, lacking, type TalkState, wordsForLack } from "../lib/index.ts";
import { buttons } from "./elements.ts";
import { Hold } from "./hold.ts";
import { notify } from "./toast.ts";
import { isTyping } from "./typing.ts";

const NO_RIGHT = "You may watch this camera, and not talk. Whoever sent you the link can give you one that lets you.";
const NO_SPEAKER = "This camera has no speaker.";

/** What the page knows beside the camera's state. */
interface Leave {
  /** Whether the token lets us talk, if there is one. */
  readonly mayTalk: boolean;
  /** Where this page is served over https, if it is. */
  readonly https: string | undefined;
  /** The microphone that was chosen, if one was. */
  readonly microphone: () => string | undefined;
}

/** Makes the button and the key work. */
export function followTalk(camera: Camera, { mayTalk, https, microphone }: Leave): void {
  const button = buttons.talk;
  const hold = new Hold();

  const begin = (): void => {
    if (camera.state.state !== "live") return;
    if (!mayTalk) notify(NO_RIGHT);
    else if (camera.talk.state.state === "off") notify(NO_SPEAKER);
    else if (lacking().includes("microphone")) notify(wordsForLack("microphone", isSecureContext, https));
    else {
      if (hold.down(performance.now()) === "start") void camera.talk.start(microphone());
      return;
    }
    hold.reset();
  };
  const end = (): void => {
    if (hold.up(performance.now()) === "stop") camera.talk.stop();
    show(camera.talk.state);
  };
  const lose = (): void => {
    if (hold.lost() === "stop") camera.talk.stop();
  };

  const show = (state: TalkState): void => {
    button.hidden = state.state === "off";
    button.setAttribute("aria-pressed", String(state.state === "on"));
    button.dataset["asking"] = String(state.state === "asking");
    const open = state.state === "on" && hold.isOpen;
    button.title = open ? "Tap to close the microphone (T)" : "Hold to talk, tap to keep the microphone open (T)";
    button.setAttribute("aria-label", open ? "Close the microphone" : "Talk");
  };
  const drawLevel = (): void => {
    button.style.setProperty("--level", camera.talk.level.toFixed(2));
    if (camera.talk.state.state === "on") requestAnimationFrame(drawLevel);
  };
  camera.on("talk", (state) => {
    if (state.state === "ready" || state.state === "off") hold.reset();
    else if (state.state === "on") hold.opened();
    if (state.text !== undefined && state.trouble !== "noSpeaker") notify(state.text);
    show(state);
    drawLevel();
  });

  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    // Moving off the button does not let it go.
    button.setPointerCapture(event.pointerId);
    begin();
  });
  button.addEventListener("pointerup", end);
  button.addEventListener("pointercancel", lose);
  // A long press is no wish for a menu.
  button.addEventListener("contextmenu", (event) => {
    event.preventDefault();
  });
  const isOurs = (event: KeyboardEvent): boolean => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return false;
    return event.key.toLowerCase() === "t" || (event.target === button && (event.key === " " || event.key === "Enter"));
  };
  addEventListener("keydown", (event) => {
    if (!isOurs(event)) return;
    if (event.target === button) event.preventDefault();
    if (!event.repeat) begin();
  });
  addEventListener("keyup", (event) => {
    if (isOurs(event)) end();
  });
  addEventListener("blur", lose);
  show(camera.talk.state);
}
