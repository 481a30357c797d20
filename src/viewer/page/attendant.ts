/** What a wall tablet does with a call when nobody touches it: it answers, and in the end hangs up. Pure. */

import type { Later } from "./later.ts";

/** Somebody beside it sees and hears first that it will. */
export const ANSWERS_AFTER_MS = 4_000;
/** Nobody may be there to hang up. */
export const HANGS_UP_AFTER_MS = 180_000;

/** Attends to one call at a time. */
export class Attendant {
  private forgoAnswer: () => void = () => undefined;
  private forgoEnd: () => void = () => undefined;

  constructor(private readonly later: Later) {}

  /** It rings: `answer` comes in a moment, unless the call is {@link settled} by then. */
  rings(answer: () => void): void {
    this.forgoAnswer();
    this.forgoAnswer = this.later(answer, ANSWERS_AFTER_MS);
  }

  /** A person has answered or declined, or whoever rang has given up. */
  settled(): void {
    this.forgoAnswer();
  }

  /** It has answered by itself: `hangUp` comes in the end, unless somebody {@link takesOver} or the call is over. */
  answered(hangUp: () => void): void {
    this.forgoEnd();
    this.forgoEnd = this.later(hangUp, HANGS_UP_AFTER_MS);
  }

  /** Somebody is there, who hangs up themselves; or nothing is left to be hung up. */
  takesOver(): void {
    this.forgoEnd();
  }
}
