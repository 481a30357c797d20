/** When to try again after a session has ended, and why it ended in the words of a state. */

import { ERRORS, failureOf, slugOf, type ErrorSlug } from "./errors.ts";
import type { Failure } from "./message.ts";
import type { End } from "./session.ts";
import type { Reason, StateName } from "./state.ts";

/** A random number from 0 up to, not including, 1. */
export type Chance = () => number;

/** First wait; each further one doubles. */
const FIRST_WAIT_MS = 1_000;
/** Longest wait. */
const LONGEST_WAIT_MS = 30_000;
/** Viewers of a node that restarted come back spread over this time. */
export const REBOOT_SPREAD_MS = 5_000;

/** Why there is no session. */
export type Cause =
  | { kind: "rebooted" }
  | { kind: "offline" }
  | { kind: "ended"; state: Extract<StateName, "idle" | "lost" | "refused">; reason: Reason; said?: string };

/** Whether and when the next session begins. */
export interface Retry {
  /** Sessions that failed in a row. */
  readonly tries: number;
  /** Absent: not before something happens. */
  at: number | undefined;
  readonly cause: Cause | undefined;
}

/** Nothing has failed yet; the first session begins at `at`, if that is known. */
export function untried(at?: number): Retry {
  return { tries: 0, at, cause: undefined };
}

/** The wait after so many failures: doubling, bounded, and spread so that many viewers do not come back at once. */
export function backOffMs(tries: number, chance: Chance): number {
  const full = Math.min(FIRST_WAIT_MS * 2 ** Math.min(tries, 10), LONGEST_WAIT_MS);
  return full * (0.5 + chance() / 2);
}

/** The next session with a node that has restarted: its viewers come back spread over some time. */
export function afterReboot(now: number, chance: Chance): Retry {
  return { tries: 0, at: now + chance() * REBOOT_SPREAD_MS, cause: { kind: "rebooted" } };
}

/** There is no next one: the node has hung up. */
export function hungUp(): Retry {
  return { tries: 0, at: undefined, cause: { kind: "ended", state: "idle", reason: "hungUp" } };
}

/** The next session when no token for it could be had. */
export function unpermitted({ tries }: Retry, said: string, now: number, chance: Chance): Retry {
  return { tries: tries + 1, at: now + backOffMs(tries, chance), cause: { kind: "ended", state: "refused", reason: "noToken", said } };
}

/** 32 random lower-case hex digits. */
export function hex(chance: Chance): string {
  return Array.from({ length: 32 }, () => Math.floor(chance() * 16).toString(16)).join("");
}

interface Past {
  readonly tries: number;
  /** It had been live for a while, so the next one may begin at once. */
  readonly wasGood: boolean;
  /** It had been replaced once already, not long ago. */
  readonly wasReplaced: boolean;
  readonly now: number;
}

interface Decided {
  readonly retry: Retry;
  readonly failure?: { slug: ErrorSlug | undefined; failure: Failure };
}

/** What to do after `end`. */
export function retryAfter(end: End, past: Past, chance: Chance): Decided {
  const { now, tries, wasGood, wasReplaced } = past;
  const never = (state: "lost" | "refused", reason: Reason): Decided => ({
    retry: { tries, at: undefined, cause: { kind: "ended", state, reason } },
  });
  switch (end.how) {
    case "left":
      return { retry: untried() };
    case "rebooted":
      return { retry: afterReboot(now, chance) };
    case "hungUp":
      return { retry: hungUp() };
    case "closedByPeer":
      return again("closed", wasGood ? 0 : backOffMs(tries, chance));
    case "theyLeft":
      // A late join of our own past may have taken the place; when it happens again, it is somebody else.
      if (end.reason === "replaced") return wasReplaced ? never("lost", "replaced") : again("replaced", backOffMs(tries, chance));
      if (end.reason === "expired" || end.reason === "limit") return never("refused", end.reason);
      if (end.reason === "shutdown") return { retry: { tries: 0, at: undefined, cause: { kind: "offline" } } };
      return again("closed", wasGood ? 0 : backOffMs(tries, chance));
    case "failed":
      return failed(end.slug, failureOf(end.slug, end.message));
    case "theyFailed":
    case "refused":
      return failed(slugOf(end.failure.code), end.failure);
  }

  function again(reason: Reason, wait: number): Decided {
    return { retry: { tries: tries + 1, at: now + wait, cause: { kind: "ended", state: "lost", reason } } };
  }

  function failed(slug: ErrorSlug | undefined, failure: Failure): Decided {
    const reason = slug ?? "internal";
    // Of an error of a later version we only know whether the node wants to be tried again.
    const retries = slug === undefined ? failure.retryAfter !== undefined : ERRORS[slug].retry;
    const cause: Cause = { kind: "ended", state: retries && !REFUSALS.has(reason) ? "lost" : "refused", reason, said: failure.message };
    const told = { failure: { slug, failure } };
    if (!retries) return { retry: { tries, at: undefined, cause }, ...told };
    const wait = Math.max(wasGood ? 0 : backOffMs(tries, chance), (failure.retryAfter ?? 0) * 1_000);
    return { retry: { tries: tries + 1, at: now + wait, cause }, ...told };
  }
}

/** Errors that may go away, by which the node says no all the same: nothing was lost. */
const REFUSALS: ReadonlySet<ErrorSlug> = new Set(["tokenNotYetValid", "clockUnknown", "busy", "rateLimited", "cameraAway", "cameraFailed", "cameraShut"]);
