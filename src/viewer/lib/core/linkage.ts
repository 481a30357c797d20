/** What is known of our connection to the broker, and when it is made again. */

import { backOffMs, type Chance } from "./retry.ts";
import type { LinkProblem } from "./state.ts";
import { earliest } from "./times.ts";

/** Fetching an address, connecting and subscribing together: what takes longer will not come. */
const CONNECT_LIMIT_MS = 30_000;
/** How long the last word may take before the connection is closed. */
const FAREWELL_LIMIT_MS = 1_000;
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

  constructor(private readonly chance: Chance) {}

  /** A person wants it now: earlier failures do not count. */
  startAfresh(): void {
    this.tries = 0;
  }

  connecting(now: number): void {
    this.retryAt = undefined;
    this.limit = now + CONNECT_LIMIT_MS;
  }

  isUp(): void {
    Object.assign(this, { up: true, wasUp: true, tries: 0, problem: undefined, said: undefined, retryAt: undefined, limit: undefined });
  }

  isDown(problem: LinkProblem, said: string | undefined, now: number): void {
    this.up = false;
    this.limit = undefined;
    this.problem = problem;
    this.said = said;
    this.retryAt = LASTING.has(problem) ? undefined : now + backOffMs(this.tries, this.chance);
    this.tries += 1;
  }

  /** Nobody wants it any more: what is still to be said has a little time. */
  takeLeave(now: number): void {
    if (this.up || this.isTrying || this.problem !== undefined) this.farewellAt ??= this.up ? now + FAREWELL_LIMIT_MS : now;
  }

  closed(): void {
    Object.assign(this, { up: false, wasUp: false, problem: undefined, said: undefined, retryAt: undefined, limit: undefined, farewellAt: undefined });
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
