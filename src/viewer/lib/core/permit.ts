/** When a token is asked for: before each session, and again before the session's token ends. */

import { backOffMs, type Chance } from "./retry.ts";

/** Whoever makes the token has so long. */
const ASK_LIMIT_MS = 30_000;
/** So long before its end a token is renewed, or after half its life: enough for a slow broker and a few failures. */
const RENEW_BEFORE_MS = 60_000;
/** Tokens that are over, or good for a few seconds, do not make us ask on and on. */
const MIN_RENEWAL_MS = 5_000;

/** What a token is wanted for. */
export type Purpose = "join" | "renewal";

export class Permit {
  private asks = 0;
  private awaited: { ask: number; purpose: Purpose; limit: number } | undefined;
  private renewAt: number | undefined;
  private failures = 0;

  constructor(private readonly chance: Chance) {}

  /** Whether a session waits for its token. */
  get delaysJoin(): boolean {
    return this.awaited?.purpose === "join";
  }

  /** A token is wanted; gives the number by which the answer names what it answers. */
  ask(purpose: Purpose, now: number): number {
    this.asks += 1;
    this.awaited = { ask: this.asks, purpose, limit: now + ASK_LIMIT_MS };
    this.renewAt = undefined;
    return this.asks;
  }

  /** A token came, good for `lifeMs` if it says so; gives what it is for, if it is still wanted. */
  granted(ask: number, lifeMs: number | undefined, now: number): Purpose | undefined {
    const purpose = this.answered(ask);
    if (purpose === undefined) return undefined;
    this.failures = 0;
    this.endsIn(lifeMs, now);
    return purpose;
  }

  /** None came; gives what it would have been for, if it was still wanted. */
  denied(ask: number, now: number): Purpose | undefined {
    const purpose = this.answered(ask);
    // The session goes on with the token it has, as long as that lasts.
    if (purpose === "renewal") this.renewAt = now + backOffMs(this.failures, this.chance);
    if (purpose !== undefined) this.failures += 1;
    return purpose;
  }

  /** The token in use is good for so long from now. */
  endsIn(lifeMs: number | undefined, now: number): void {
    if (lifeMs === undefined) this.renewAt = undefined;
    else this.renewAt = now + Math.max(lifeMs - Math.min(RENEW_BEFORE_MS, lifeMs / 2), MIN_RENEWAL_MS);
  }

  /** There is no session any more, and none is wanted. */
  drop(): void {
    this.awaited = this.renewAt = undefined;
    this.failures = 0;
  }

  /** The question that has stayed unanswered for too long. */
  overdue(now: number): number | undefined {
    return this.awaited !== undefined && this.awaited.limit <= now ? this.awaited.ask : undefined;
  }

  /** Whether the token is to be renewed now. */
  isRenewalDue(now: number): boolean {
    return this.renewAt !== undefined && this.renewAt <= now;
  }

  pollTimeout(): number | undefined {
    return this.awaited?.limit ?? this.renewAt;
  }

  private answered(ask: number): Purpose | undefined {
    if (this.awaited?.ask !== ask) return undefined;
    const { purpose } = this.awaited;
    this.awaited = undefined;
    return purpose;
  }
}
