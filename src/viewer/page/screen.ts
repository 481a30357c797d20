/** What is written on the page: name, state, words, numbers. */

import type { CameraState, Stats } from "../lib/index.ts";
import { buttons, card, numberPlace, numbers, plate, root, said } from "./elements.ts";
import { numberTexts, secondsUntil } from "./numbers.ts";
import { type Known, oneWord } from "./word.ts";

/** What is known beside the state. */
interface More extends Known {
  /** Whether another camera may be chosen. */
  readonly mayChange: boolean;
  /** Whether the camera may be called, to be heard there at once. */
  readonly mayCall: boolean;
  /** What stands there instead while nobody watches, on a tablet that waits for calls. */
  readonly idle: { readonly title: string; readonly text: string; readonly hint: string } | undefined;
}

const LATENCY_MEASURED = "Measured: from the stamp in the test pattern to this screen, if both clocks are in step.";
const LATENCY_ESTIMATED = "Estimated: half the round trip, plus buffer and decoding here. Camera and encoder are not in it.";

let current: CameraState | undefined;
let calling: string | undefined;
let spoken = "";
let countdown: ReturnType<typeof setInterval> | undefined;

/** Writes the state everywhere it stands. */
export function showState(told: CameraState, more: More): void {
  const state = told.state === "idle" && more.idle !== undefined ? { ...told, ...more.idle } : told;
  current = state;
  const { attention, word } = oneWord(state, more);
  root.dataset["state"] = state.state;
  root.dataset["reason"] = state.reason;
  root.dataset["attention"] = String(attention);
  plate.state.textContent = word;
  plate.state.title = more.warnings.join("\n");
  title();
  const waitsForPicture = state.state === "live" && root.dataset["picture"] !== "true";
  const needsTap = root.dataset["tap"] === "true";
  card.title.textContent = needsTap ? "Ready" : waitsForPicture ? "Connected" : state.title;
  // Why it is not allowed, only the node can say.
  const text = state.reason === "notAllowed" && state.said !== undefined ? `${state.text} ${state.said}` : state.text;
  card.text.textContent = needsTap ? "This browser wants a tap before it plays." : waitsForPicture ? "Waiting for the first picture." : text;
  showHint();
  clearInterval(countdown);
  if (state.retryAt !== undefined) countdown = setInterval(showHint, 500);
  const isTrying = state.state === "connecting" || (state.state === "live" && !needsTap);
  buttons.connect.hidden = isTrying;
  buttons.connect.textContent = needsTap ? "Play" : state.state === "idle" || state.retryAt === undefined ? "Connect" : "Try now";
  const isOfNoUse = ["nodeOffline", "nodeAway", "silent", "closed", "noWebRtc"].includes(state.reason);
  if (isOfNoUse) buttons.connect.hidden = true;
  buttons.call.hidden = !more.mayCall || state.state !== "idle";
  buttons.change.hidden = !more.mayChange || state.state === "live" || state.state === "connecting";
  say(word === state.title ? `${state.title}. ${waitsForPicture ? "" : state.text}` : word);
}

/** The camera's name for people. */
export function showName(name: string): void {
  plate.name.textContent = name;
  title();
}

/** Writes the numbers. */
export function showNumbers(stats: Stats | undefined, measuredMs: number | undefined): void {
  for (const [name, text] of Object.entries(numberTexts(stats, measuredMs))) {
    const place = numberPlace(name);
    if (place.textContent !== text) place.textContent = text;
  }
  numbers.title = measuredMs === undefined ? LATENCY_ESTIMATED : LATENCY_MEASURED;
}

/** While somebody rings, the page's title says so: it is all that is seen of a tab in the background. */
export function showCallInTitle(from: string | undefined): void {
  calling = from;
  title();
}

function title(): void {
  const parts = calling === undefined ? [plate.name.textContent, plate.state.textContent] : ["Somebody is ringing", calling];
  document.title = parts.filter((part) => part !== "").join(" · ");
}

function showHint(): void {
  if (current === undefined) return;
  const { hint, retryAt, state } = current;
  const next = retryAt === undefined ? "" : `Next try in ${secondsUntil(retryAt, Date.now())} s.`;
  card.hint.textContent = state === "live" ? "" : [hint, next].filter((part) => part !== "").join(" ");
}

/** Tells screen readers, but only what is new. */
function say(text: string): void {
  if (text === spoken) return;
  spoken = text;
  said.textContent = text;
}
