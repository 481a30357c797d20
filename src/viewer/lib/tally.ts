/** A connection's numbers, taken once a second for as long as it lasts. */

import type { Peer } from "./peer.ts";
import { type Sample, sample, type Stats, statsBetween } from "./stats.ts";

const EVERY_MS = 1_000;

export class Tally {
  /** The latest numbers. */
  latest: Stats | undefined;
  private before: Sample | undefined;
  private ended = false;
  private readonly timer: ReturnType<typeof setInterval>;

  constructor(
    private readonly connection: Peer,
    private readonly taken: (numbers: Stats, sample: Sample) => void,
  ) {
    this.timer = setInterval(() => void this.take(), EVERY_MS);
  }

  /** Nothing is taken any more, also of what is being asked now. */
  end(): void {
    this.ended = true;
    clearInterval(this.timer);
  }

  private async take(): Promise<void> {
    const report = await this.connection.stats();
    if (report === undefined || this.ended) return;
    const now = sample(report);
    this.latest = statsBetween(this.before, now);
    this.before = now;
    this.taken(this.latest, now);
  }
}
