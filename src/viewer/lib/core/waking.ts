/** After the page was in the background, or the network has changed: whether the broker's connection still lives. */

/** An answer takes no longer than this, or the connection is dead. */
const ANSWER_LIMIT_MS = 3_000;
/** Wake-ups nearer to each other are one: browsers report several events for the same thing. */
const AGAIN_MS = 1_000;

export class Waking {
  private at: number | undefined;
  /** When the connection counts as dead. */
  limit: number | undefined;

  /** Takes a wake-up in; whether it is a new one. */
  isNew(now: number): boolean {
    if (this.at !== undefined && now - this.at < AGAIN_MS) return false;
    this.at = now;
    return true;
  }

  /** Something has been said that the broker, or the node, answers. */
  expectAnswer(now: number): void {
    this.limit = now + ANSWER_LIMIT_MS;
  }
}
