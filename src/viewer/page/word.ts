/** The one word that stands beside the camera's name: how it is, as far as whoever watches can tell or would want to know. */

import type { CameraDetail, CameraState } from "../lib/index.ts";

/** What is known beside the state. */
export interface Known {
  /** How the camera itself is, while the node is there. */
  readonly detail: CameraDetail | undefined;
  /** What else is not well, each in a sentence that begins with the part and its state. */
  readonly warnings: readonly string[];
  /** The picture has not changed for some seconds. */
  readonly isStill: boolean;
}

/** The words, and whether they are shown in the colour of what is wrong. */
export interface Word {
  readonly attention: boolean;
  readonly word: string;
}

/** By `fault` of the node's status, as its cards have it. */
const FAULTS: ReadonlyMap<string, string> = new Map([
  ["busy", "Camera in use"],
  ["denied", "The board may not open its camera"],
  ["stalled", "Camera silent"],
  ["unsupported", "Camera not usable"],
]);

/** Parts whose trouble is seen or heard by whoever watches or talks. */
const MISSED = ["encoder", "microphone", "speaker"];
/** Parts whose trouble waits for somebody; the most pressing first. */
const WAITING = ["storage", "clock", "network", "config", "turn", "ice", "camera", "microphone"];

/** What to say of `state`. */
export function oneWord(state: CameraState, { detail, warnings, isStill }: Known): Word {
  if (state.state !== "live") return { attention: false, word: state.title };
  if (detail?.state === "private") return { attention: true, word: "Switched off for privacy" };
  if (detail?.state === "away") return { attention: true, word: "Camera unplugged" };
  if (detail?.state === "failed") return { attention: true, word: FAULTS.get(detail.fault ?? "") ?? "Camera failed" };
  // What stands in for a device that never was there is seen and heard: nobody misses it.
  const missed = first(MISSED, warnings.filter((warning) => !isMissing(warning)));
  // A card is a picture that stands still, and says why.
  if (missed?.startsWith("encoder ") === true) return { attention: true, word: `${state.title}, ${missed}` };
  if (isStill) return { attention: true, word: "Picture stands still" };
  if (missed !== undefined) return { attention: true, word: `${state.title}, ${missed}` };
  if (state.brokerAway === true) return { attention: true, word: "Live, broker away" };
  const waiting = first(WAITING, warnings);
  return { attention: false, word: waiting === undefined ? state.title : `${state.title}, ${waiting}` };
}

function isMissing(warning: string): boolean {
  return /^[^:]* missing(:|$)/.test(warning);
}

/** The first of these parts that is warned of: its name and state. */
function first(parts: readonly string[], warnings: readonly string[]): string | undefined {
  const found = parts.map((part) => warnings.find((warning) => warning.startsWith(`${part} `))).find((warning) => warning !== undefined);
  return found?.split(":")[0];
}
