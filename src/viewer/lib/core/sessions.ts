/** The session there is, or is about to be, and those that have ended and still acknowledge what is repeated. */

import type { Message } from "./envelope.ts";
import type { Session } from "./session.ts";
import { earliest } from "./times.ts";

/** So many ended ones are remembered. */
const MAX_ENDED = 8;

export class Sessions {
  current: Session | undefined;
  private ended: Session[] = [];

  find(id: string | undefined): Session | undefined {
    return this.all().find((each) => each.id === id);
  }

  /** The current one is over. */
  retire(): void {
    if (this.current !== undefined) this.ended = [...this.ended, this.current].slice(-MAX_ENDED);
    this.current = undefined;
  }

  /** Nobody can hear any more what those that have ended would say. */
  forget(): void {
    this.ended = [];
  }

  /** Whether nothing is left to be said of those that have ended. */
  get isSettled(): boolean {
    return this.ended.every((each) => each.isOver());
  }

  setLink(up: boolean, now: number): void {
    for (const each of this.all()) each.setLink(up, now);
  }

  handleTimeout(now: number): void {
    for (const each of this.all()) each.handleTimeout(now);
  }

  pollTimeout(): number | undefined {
    return earliest(this.all().map((each) => each.pollTimeout()));
  }

  /** The next message to publish. */
  pollTransmit(now: number): Message | undefined {
    for (const each of this.all()) {
      const message = each.pollTransmit(now);
      if (message !== undefined) return message;
    }
    return undefined;
  }

  private all(): Session[] {
    return this.current === undefined ? this.ended : [this.current, ...this.ended];
  }
}
