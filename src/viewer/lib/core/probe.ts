/** When a node of which nothing is heard is asked whether it is there: brokers may keep no status. */

import { earliest } from "./times.ts";

/** How long a retained status may take after the subscription before the node is asked. */
const STATUS_WAIT_MS = 1_000;
/** A node that does not answer a probe for so long is offline. */
const LIMIT_MS = 5_000;
/** An offline node is asked again this often. */
const AGAIN_MS = 30_000;

export class Probe {
  private at: number | undefined;
  private limit: number | undefined;

  /** The subscriptions stand: a retained status has a moment to come. */
  waitForStatus(now: number): void {
    this.at = now + STATUS_WAIT_MS;
  }

  /** The node has been asked. */
  sent(now: number): void {
    this.at = undefined;
    this.limit = now + LIMIT_MS;
  }

  /** It has not answered, and is asked again later. */
  later(now: number): void {
    this.at = now + AGAIN_MS;
  }

  /** It has been heard, or cannot be. */
  stop(): void {
    this.at = this.limit = undefined;
  }

  /** Whether the answer has not come in time; true only once. */
  takeUnanswered(now: number): boolean {
    if (this.limit === undefined || this.limit > now) return false;
    this.limit = undefined;
    return true;
  }

  /** Whether to ask now. */
  isDue(now: number): boolean {
    return this.at !== undefined && this.at <= now;
  }

  pollTimeout(): number | undefined {
    return earliest([this.at, this.limit]);
  }
}
