/** What follows from the way in which a session has ended. */

import type { End } from "./course.ts";
import type { Message } from "./envelope.ts";
import type { Pulse } from "./pulse.ts";
import { type Chance, retryAfter } from "./retry.ts";
import type { Session } from "./session.ts";

/** A session that lived so long was no failure, and the next one begins at once. */
const GOOD_AFTER_MS = 10_000;
/** Replaced twice in such a time, it gives way: somebody else goes by the same name. */
const REPLACED_AGAIN_MS = 60_000;

export class Aftermath {
  private replacedAt: number | undefined;
  /** The session that was lost last: the next one goes on with it. */
  private lost: string | undefined;

  /** A session begins by somebody's wish: what was before does not count. */
  forget(): void {
    this.replacedAt = undefined;
    this.lost = undefined;
  }

  /** Whether a `cancel` of this session, whose end we have known before, ends what goes on with it too. */
  isHungUpLate({ body, session }: Message): boolean {
    return body.type === "cancel" && this.lost !== undefined && session === this.lost;
  }

  /** When the next session is to begin after this one, which was the `tries`-th in a row that failed. */
  of(session: Session, { end, pulse, tries }: { end: End; pulse: Pulse; tries: number }, now: number, chance: Chance): ReturnType<typeof retryAfter> {
    const wasGood = session.connectedAt !== undefined && pulse.felt && now - session.connectedAt >= GOOD_AFTER_MS;
    const wasReplaced = this.replacedAt !== undefined && now - this.replacedAt < REPLACED_AGAIN_MS;
    if (end.how === "theyLeft" && end.reason === "replaced") this.replacedAt = now;
    this.lost = end.how === "hungUp" ? undefined : session.id;
    return retryAfter(end, { tries: wasGood ? 0 : tries, wasGood, wasReplaced, now }, chance);
  }
}
