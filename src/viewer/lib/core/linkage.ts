/** What is known of our connection to the broker, and when it is made again. */

import { backOffMs, type Chance } from "./retry.ts";
import type { LinkProblem } from "./state.ts";
import { earliest } from "./times.ts";

/** Fetching an address, connecting and subscribing together: what takes longer will not come. */
const CONNECT_LIMIT_MS = 30_000;
/** How long the last word may take before the connection is closed. */
const FAREWELL_LIMIT_MS = 1_000;
/** AWS IoT Core takes one CONNECT a second from a client id; the second may have the quicker way there. */
const BETWEEN_CONNECTS_MS = 1_100;
/** What no other try would mend: somebody has to do something first. */
const LASTING: ReadonlySet<LinkProblem> = new Set(["badAddress", "insecure", "noWebRtc"]);

export class Linkage {
  up = false;
  /** Whether it has been up since we were started. */
  wasUp = false;
  problem: LinkProblem | undefined;
  /** The problem in the words of whoever met it. */
  said: string | undefined;
  /** When the next connection is to be made; absent when there is none to come, or it is under way. */
  retryAt: number | undefined;
  /** When it is closed, as nobody wants it any more. */
  farewellAt: number | undefined;
  private tries = 0;
  private limit: number | undefined;
  /** No CONNECT may go out before. */
  private quietUntil = -Infinity;

  constructor(private readonly chance: Chance) {}

  /** A person wants it now: earlier failures do not count. */
  startAfresh(): void {
    this.tries = 0;
  }

  /** A connection is wanted at once. Whether to make it now: one may be under way, or have to wait a little. */
  begin(now: number): boolean {
    if (this.limit !== undefined) return false;
    this.retryAt = now < this.quietUntil ? this.quietUntil : undefined;
    if (this.retryAt !== undefined) return false;
    this.limit = now + CONNECT_LIMIT_MS;
    this.keepQuiet(now);
    return true;
  }

  /** Gives up what is under way, which may be of another network; what has just begun is not. Whether there was such a thing. */
  giveUp(now: number): boolean {
    if (this.limit === undefined || now < this.quietUntil) return false;
    this.limit = undefined;
    this.keepQuiet(now);
    return true;
  }

  isUp(now: number): void {
    Object.assign(this, { up: true, wasUp: true, tries: 0, problem: undefined, said: undefined, retryAt: undefined, limit: undefined });
    this.keepQuiet(now);
  }

  isDown(problem: LinkProblem, said: string | undefined, now: number): void {
    if (!this.up) this.keepQuiet(now);
    this.up = false;
    this.limit = undefined;
    this.problem = problem;
    this.said = said;
    this.retryAt = LASTING.has(problem) ? undefined : Math.max(now + backOffMs(this.tries, this.chance), this.quietUntil);
    this.tries += 1;
  }

  /** Nobody wants it any more: what is still to be said has a little time. */
  takeLeave(now: number): void {
    if (this.up || this.isTrying || this.problem !== undefined) this.farewellAt ??= this.up ? now + FAREWELL_LIMIT_MS : now;
  }

  closed(now: number): void {
    if (this.limit !== undefined) this.keepQuiet(now);
    Object.assign(this, { up: false, wasUp: false, problem: undefined, said: undefined, retryAt: undefined, limit: undefined, farewellAt: undefined });
  }

  /** The last CONNECT may have gone out only now: fetching an address and the way there take their time. */
  private keepQuiet(now: number): void {
    this.quietUntil = now + BETWEEN_CONNECTS_MS;
  }

  /** Whether a connection is under way, or to come. */
  get isTrying(): boolean {
    return this.retryAt !== undefined || this.limit !== undefined;
  }

  /** The problem, if it is somebody's no and not just an absence. */
  get refusal(): Exclude<LinkProblem, "unreachable" | "lost"> | undefined {
    return this.problem === "unreachable" || this.problem === "lost" ? undefined : this.problem;
  }

  /** Whether a connection that was begun has not come about in time. */
  isOverdue(now: number): boolean {
    return this.limit !== undefined && this.limit <= now;
  }

  pollTimeout(): number | undefined {
    return earliest([this.farewellAt, this.retryAt ?? this.limit]);
  }
}
