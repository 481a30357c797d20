/** The course of a session: its phases, how long each may take, what it has done on the way, and how it ends. */

import type { ErrorSlug } from "./errors.ts";
import type { Failure, LeaveReason } from "./message.ts";
import type { PeerCommand } from "./port.ts";
import type { Step } from "./steps.ts";

/** From the join to the offer: the node may have to start its camera first. */
export const OFFER_LIMIT_MS = 20_000;
/** From the offer to our answer, which is this machine's own work. */
export const ANSWER_LIMIT_MS = 10_000;
/** From the answer to the connection; the node waits as long. */
export const CONNECT_LIMIT_MS = 30_000;
/** How long both sides try to mend a silent connection before a new join is worth more. */
export const SILENCE_LIMIT_MS = 20_000;
/** Just back at the broker, there is at least so much time for it: the node may still know the session. */
export const MENDING_TIME_MS = 8_000;
/** How long a closed connection waits for the reason. */
export const REASON_WAIT_MS = 500;

/** How a session ended. */
export type End =
  | { how: "left"; reason: LeaveReason }
  | { how: "theyLeft"; reason: LeaveReason }
  | { how: "closedByPeer" }
  /** By the node, for good. */
  | { how: "hungUp" }
  | { how: "failed"; slug: ErrorSlug; message: string }
  | { how: "theyFailed" | "refused"; failure: Failure }
  | { how: "rebooted" };

/** What to do. */
export type SessionOutput =
  | { type: "peer"; command: PeerCommand }
  | { type: "step"; step: Step; direction?: "in" | "out"; detail?: string }
  /** Something is wrong at the node that does not end the session. */
  | { type: "notice"; failure: Failure }
  | { type: "ended"; end: End };

export type Phase = "joining" | "opening" | "answering" | "checking" | "connected" | "silent" | "closing" | "ended";

/** Why a session that has waited too long in a phase cannot go on; nothing where it waits for ever. */
export function overdue(phase: Phase): { slug: ErrorSlug; message: string } | undefined {
  switch (phase) {
    case "joining":
    case "opening":
      return { slug: "timedOut", message: "no offer came" };
    case "answering":
      return { slug: "timedOut", message: "the answer took too long" };
    case "checking":
      return { slug: "iceFailed", message: "no path was found in time" };
    case "silent":
      return { slug: "iceFailed", message: "nothing was heard any more" };
    case "connected":
    case "closing":
    case "ended":
      return undefined;
  }
}
