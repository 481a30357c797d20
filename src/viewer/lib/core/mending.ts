/** When to restart ICE on a path that is lost: soon, at once where the network has changed, and never in a storm. */

/** The node, which notices silence as early, restarts 2 s after it: so the two offers do not cross. */
const PATIENCE_MS = 4_000;
/** A change of network is told in pieces; this long after the first, the next ones are mostly there. */
const SETTLE_MS = 250;
/** Waits after the first, second … restart of one break. */
const PAUSES_MS = [3_000, 5_000, 8_000, 10_000] as const;
const LONGEST_PAUSE_MS = 10_000;
/** Between two restarts, whatever happens. */
const AT_LEAST_MS = 1_500;
/** A path that falls silent so soon after a change of network does so because of it. */
const CAUSE_MS = 10_000;
/** A path that has held for so long begins to count anew. */
const PROVEN_MS = 10_000;

export class Mending {
  /** When the next restart is due; absent on a whole path. */
  due: number | undefined;
  private broken = false;
  /** When the network has changed, if it has since the last restart. */
  private changedAt: number | undefined;
  private tries = 0;
  private lastTry = -Infinity;
  private mendedAt = -Infinity;

  get networkHasChanged(): boolean {
    return this.changedAt !== undefined;
  }

  /** Nothing is heard over the path any more. */
  lost(now: number): void {
    if (this.mendedAt + PROVEN_MS <= now) this.tries = 0;
    this.broken = true;
    this.due = Math.max(now + PATIENCE_MS, this.nextTry());
    if (this.changedAt !== undefined && now >= this.changedAt + CAUSE_MS) this.changedAt = undefined;
    if (this.changedAt !== undefined) this.hurry(now);
  }

  /** The network has changed: what failed before may work now, and what is whole may break because of it. */
  networkChanged(now: number): void {
    this.changedAt = now;
    if (this.broken) this.hurry(now);
  }

  /** Something makes it certain that the path will not mend by itself. */
  hurry(now: number): void {
    this.due = Math.min(this.due ?? Infinity, Math.max(now + SETTLE_MS, this.lastTry + AT_LEAST_MS));
  }

  /** A restart is under way, ours or theirs. */
  tried(now: number): void {
    this.changedAt = undefined;
    this.tries += 1;
    this.lastTry = now;
    this.due = this.broken ? this.nextTry() : undefined;
  }

  /** The one before is still under way. */
  waitMore(now: number): void {
    this.due = this.broken ? now + PAUSES_MS[0] : undefined;
  }

  /** The other side has answered, or we have: the checks begin. */
  answered(now: number): void {
    if (!this.broken) return;
    this.lastTry = now;
    this.due = Math.max(now, this.nextTry());
  }

  /** Heard again. */
  mended(now: number): void {
    this.broken = false;
    this.due = undefined;
    this.mendedAt = now;
  }

  private nextTry(): number {
    return this.tries === 0 ? -Infinity : this.lastTry + (PAUSES_MS[this.tries - 1] ?? LONGEST_PAUSE_MS);
  }
}
