/** Whether media still come, by reports of the bytes received, about one a second. */

/**
 * Reports in a row without anything new after which a connection is dead. Reports are counted and not seconds, since
 * a page in the background may be stopped for minutes while its media go on. A path that is gone is noticed earlier and
 * by other means; this is for one that stands and carries nothing.
 */
const DEAD_REPORTS = 8;
/** Just woken up, or while the broker says that the node is offline, the doubt is greater. */
const DEAD_REPORTS_IN_DOUBT = 2;

export class Pulse {
  /** Whether anything has come at all. */
  felt = false;
  private bytes = 0;
  private missed = 0;
  private awake = false;

  /** Whether the latest report had anything new. */
  get isBeating(): boolean {
    return this.felt && this.missed === 0;
  }

  /** The page has been in the background. */
  wake(): void {
    this.awake = true;
    this.missed = 0;
  }

  /** Takes a report in; whether the connection is now dead. `online`: whether the node is there as far as the broker knows. */
  isDead(bytes: number, online: boolean): boolean {
    if (bytes > this.bytes) {
      this.bytes = bytes;
      this.missed = 0;
      this.awake = false;
      this.felt = true;
      return false;
    }
    this.missed += 1;
    return this.missed >= (this.awake || !online ? DEAD_REPORTS_IN_DOUBT : DEAD_REPORTS);
  }
}
