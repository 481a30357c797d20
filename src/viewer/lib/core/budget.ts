/** How many errors may be answered: a flood gets no flood back. */

/** At once at most. */
const BURST = 20;
/** How long each further one takes. */
const EVERY_MS = 500;

export class ErrorBudget {
  private left = BURST;
  private at = 0;

  /** Whether one more may go. */
  take(now: number): boolean {
    const earned = Math.floor((now - this.at) / EVERY_MS);
    if (earned > 0) {
      this.left = Math.min(BURST, this.left + earned);
      this.at = now;
    }
    if (this.left === 0) return false;
    this.left -= 1;
    return true;
  }
}
