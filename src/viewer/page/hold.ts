/** A button or key that one holds to talk, or taps to leave the microphone open until the next tap. Pure. */

/** Shorter than this is a tap. */
const TAP_MS = 350;

/** What is to be done now. */
export type Wish = "start" | "stop" | undefined;

export class Hold {
  private since: number | undefined;
  private open = false;
  private wasOpen = false;

  /** Whether the microphone stays open though nothing is held. */
  get isOpen(): boolean {
    return this.open && this.since === undefined;
  }

  /** It was pressed. */
  down(now: number): Wish {
    if (this.since !== undefined) return undefined;
    this.since = now;
    this.wasOpen = this.open;
    this.open = true;
    return this.wasOpen ? undefined : "start";
  }

  /** It was let go. */
  up(now: number): Wish {
    if (this.since === undefined) return undefined;
    const isTap = now - this.since < TAP_MS;
    this.since = undefined;
    if (isTap && !this.wasOpen) return undefined;
    this.open = false;
    return "stop";
  }

  /** Nobody sees any more whether it is held: what is held is let go, what is open stays so. */
  lost(): Wish {
    if (this.since === undefined) return undefined;
    this.since = undefined;
    this.open = this.wasOpen;
    return this.open ? undefined : "stop";
  }

  /** Something else has opened the microphone. */
  opened(): void {
    if (this.since === undefined) this.open = true;
  }

  /** It came to nothing, or is over. */
  reset(): void {
    this.since = undefined;
    this.open = false;
  }
}
