/** What is said of a call that has ended, in either direction. Pure. */

import type { CallEnd, CallState } from "../lib/index.ts";

/** What is written of it. */
export interface EndWords {
  readonly title: string;
  /** More than that, where it is not said by the title. */
  readonly text: string;
  /** Somebody wanted to reach us, and has not. */
  readonly isMissed: boolean;
}

const words = (title: string, text = "", isMissed = false): EndWords => ({ title, text, isMissed });

/** By whoever is at the camera, before anything was seen. */
const HUNG_UP = words("Call ended", "The camera has hung up");

/** A call that never became a session; nothing of what the person here has just done with one that came in. */
export function wordsForEnd({ direction, end, said }: Pick<CallState, "direction" | "end" | "said">): EndWords | undefined {
  return direction === "incoming" ? ofIncoming(end, said) : ofOutgoing(end, said);
}

function ofIncoming(end: CallEnd | undefined, said: string | undefined): EndWords | undefined {
  switch (end) {
    case "declined":
      return undefined;
    case "answered":
      return words("Answered elsewhere");
    case "hungUp":
      return HUNG_UP;
    case "timeout":
    case "cancelled":
    case "signallingLost":
      return words("Missed call", "", true);
    default:
      return words("The call did not come about", said ?? "The camera did not let this browser in.", true);
  }
}

function ofOutgoing(end: CallEnd | undefined, said: string | undefined): EndWords {
  switch (end) {
    case "busy":
      return words("Busy", "As many people as the camera allows are connected already");
    case "declined":
      return words("Call declined", "This camera takes no calls; it can be watched all the same");
    case "timeout":
      return words("No answer", "Nobody has answered");
    case "cancelled":
      return words("Call cancelled");
    case "hungUp":
      return HUNG_UP;
    case "signallingLost":
    case "timedOut":
      return words("No answer", "The camera cannot be reached");
    case "notAllowed":
      return words("Not allowed", said ?? "You may not call this camera");
    default:
      return words("The call did not come about", said ?? "The camera did not let this browser in");
  }
}

/** A call that somebody has ended after so long: here, or at the camera. */
export function wordsForHangUp(lastedMs: number, by: "us" | "camera"): EndWords {
  const seconds = Math.floor(lastedMs / 1_000);
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  const lasted = minutes === 0 ? `It lasted ${rest}\u00a0s` : `It lasted ${minutes}\u00a0min ${rest}\u00a0s`;
  return words("Call ended", by === "us" ? lasted : `${HUNG_UP.text}. ${lasted}`);
}

/** A call that ended by itself, in the words of the state that followed. */
export function wordsForLoss(text: string): EndWords {
  return words("Call ended", text.replace(/\.$/, ""));
}
