/**
 * Ordered delivery of one session's messages in both directions, over a broker that may lose, repeat, delay and
 * reorder them. Each side numbers what it says; what comes early waits in a window, what is not acknowledged is sent
 * again, what comes twice is acknowledged twice. All times are milliseconds of any one clock.
 */

import { byteLength, type Message, writeMessage } from "./envelope.ts";
import { type Body, type Failure, isLastWord } from "./message.ts";

/** Messages on their way, or waiting out of order, at most. */
export const WINDOW_MESSAGES = 32;
/** Bytes on their way, or waiting out of order, at most; one message alone may always go. */
export const WINDOW_BYTES = 64 * 1024;
/** How long an acknowledgement waits for a message to ride on. */
export const ACK_DELAY_MS = 100;
/** Waits after the first, second … sending of a message; after the sixth comes one more of the last. */
export const RESEND_WAITS_MS = [500, 1_000, 2_000, 4_000, 4_000] as const;

const LAST_WAIT_MS = 4_000;
/** Sendings of one message before the session has failed. */
const MAX_SENDS = RESEND_WAITS_MS.length + 1;
/** Messages that wait for room in the window: far more than a session ever says at once. */
const MAX_QUEUED = 64;
/** Error replies kept for repeated requests. */
const MAX_STORED_ERRORS = 8;
/** A repeated request makes its reply go out again at once, but not more often than this. */
const REPLY_AGAIN_MS = 200;

/** More is on its way, or out of order, than the window holds: the session cannot go on. */
export class Overflow extends Error {
  constructor() {
    super(`more than the window of ${WINDOW_MESSAGES} messages or ${WINDOW_BYTES} bytes`);
    this.name = "Overflow";
  }
}

interface Sent {
  readonly seq: number;
  readonly re: number | undefined;
  readonly body: Body;
  readonly bytes: number;
  sends: number;
  last: number;
  due: number;
}

interface ErrorReply {
  readonly re: number | undefined;
  readonly failure: Failure;
}

/** One side's end of a session's message stream. */
export class Delivery {
  private persistent = false;
  private nextSeq = 0;
  private unacked: Sent[] = [];
  private queued: Sent[] = [];
  private expected = 0;
  /** Waiting for what comes before it; without a message it marks the place of one that could not be read. */
  private readonly early = new Map<number, { bytes: number; message: Message | undefined }>();
  private ackDue: number | undefined;
  private lastWord: Sent | undefined;
  private errors: ErrorReply[] = [];
  private storedErrors: ErrorReply[] = [];

  constructor(
    readonly session: string,
    private linkUp: boolean,
  ) {}

  /**
   * Says `body`, as the answer to the other side's message `re` if any; gives its `seq`.
   * @throws {Overflow} when nothing has been acknowledged for so long that even the queue is full.
   */
  send(body: Body, re: number | undefined, now: number): number {
    if (this.queued.length >= MAX_QUEUED) throw new Overflow();
    const seq = this.nextSeq++;
    const bytes = byteLength(writeMessage(this.numbered(seq, re, body)));
    this.queued.push({ seq, re, body, bytes, sends: 0, last: now, due: now });
    this.fillWindow(now);
    return seq;
  }

  /** Says `body` as the last word: what is still unacknowledged is given up, the other side does not wait for it. */
  sendLast(body: Body, now: number, re?: number): number {
    this.giveUp();
    this.persistent = false;
    const seq = this.send(body, re, now);
    this.lastWord = this.unacked[0];
    return seq;
  }

  /** Says the last word once more, if there was one. */
  repeatLast(now: number): void {
    const last = this.lastWord;
    if (last === undefined || last.last + REPLY_AGAIN_MS > now) return;
    Object.assign(last, { sends: 0, due: now });
    this.unacked = [last];
  }

  /** Nobody listens any more: what is unacknowledged is given up; what is heard is still acknowledged. */
  giveUp(): void {
    this.unacked = [];
    this.queued = [];
  }

  /** Says that something failed. Errors are not numbered; one with `re` is said again when its request is. */
  sendError(failure: Failure, re: number | undefined): void {
    if (re !== undefined) this.storedErrors = [...this.storedErrors, { re, failure }].slice(-MAX_STORED_ERRORS);
    this.errors = [...this.errors, { re, failure }].slice(-MAX_STORED_ERRORS);
  }

  /**
   * Takes a message in and gives what can now be acted on, in order. `ack` alone gives nothing.
   * @throws {Overflow} when it is too far ahead.
   */
  receive(message: Message, bytes: number, now: number): Message[] {
    if (message.ack !== undefined) this.acknowledged(message.ack, now);
    const { seq, body } = message;
    if (seq === undefined) return body.type === "ack" ? [] : [message];
    if (seq >= this.expected && isLastWord(body)) {
      // It ends the session at once, before anything that is still missing.
      this.expected = seq + 1;
      this.early.clear();
      this.ackDue = now;
      return [message];
    }
    return this.place(seq, message, bytes, now);
  }

  /**
   * Takes the place of a message that could not be read, so that those after it need not wait for it.
   * @throws {Overflow} when it is too far ahead.
   */
  skip(seq: number, now: number): Message[] {
    return this.place(seq, undefined, 0, now);
  }

  /** The next message to publish; `undefined` when there is nothing more for now. */
  pollTransmit(now: number): Message | undefined {
    if (!this.linkUp) return undefined;
    const error = this.errors.shift();
    if (error !== undefined) return this.unnumbered(error.failure, error.re);
    const ready = this.unacked.find((sent) => sent.due <= now && (this.persistent || sent.sends < MAX_SENDS));
    if (ready !== undefined) {
      const wait = RESEND_WAITS_MS[ready.sends] ?? LAST_WAIT_MS;
      ready.sends = Math.min(ready.sends + 1, MAX_SENDS);
      ready.last = now;
      ready.due = now + wait;
      this.ackDue = undefined;
      return this.numbered(ready.seq, ready.re, ready.body);
    }
    if (this.ackDue !== undefined && this.ackDue <= now) return this.unnumbered({ type: "ack" }, undefined);
    return undefined;
  }

  /** When {@link pollTransmit} or {@link hasFailed} may have something new to say. */
  pollTimeout(): number | undefined {
    if (!this.linkUp) return undefined;
    const dues = this.unacked.map((sent) => sent.due);
    if (this.ackDue !== undefined) dues.push(this.ackDue);
    if (this.errors.length > 0) dues.push(0);
    return dues.length > 0 ? Math.min(...dues) : undefined;
  }

  /** Whether a message stayed unacknowledged through all its repetitions. */
  hasFailed(now: number): boolean {
    return this.linkUp && !this.persistent && this.unacked.some((sent) => sent.sends >= MAX_SENDS && sent.due <= now);
  }

  /** Whether everything said has been acknowledged. */
  isSettled(): boolean {
    return this.unacked.length === 0 && this.queued.length === 0;
  }

  /**
   * While media flows, an unacknowledged message is repeated on and on instead of failing the session: the other
   * side's broker may be away, and DTLS will tell if the peer itself is.
   */
  setPersistent(persistent: boolean, now: number): void {
    // What has been repeated for long gets one more round before it counts as lost.
    if (this.persistent && !persistent) this.beginAgain(now);
    this.persistent = persistent;
  }

  /**
   * Follows our own connection to the broker: nothing is sent and no time counts while it is down; when it is back,
   * all that is unacknowledged goes out anew.
   */
  setLink(up: boolean, now: number): void {
    if (up && !this.linkUp) this.beginAgain(now);
    this.linkUp = up;
  }

  private beginAgain(now: number): void {
    for (const sent of this.unacked) {
      sent.sends = 0;
      sent.due = now;
    }
  }

  private acknowledged(ack: number, now: number): void {
    // A higher one claims what we never said.
    if (ack >= this.nextSeq) return;
    this.unacked = this.unacked.filter((sent) => sent.seq > ack);
    this.fillWindow(now);
  }

  private fillWindow(now: number): void {
    for (let next = this.queued[0]; next !== undefined; next = this.queued[0]) {
      const bytes = this.unacked.reduce((sum, sent) => sum + sent.bytes, next.bytes);
      const fits = this.unacked.length < WINDOW_MESSAGES && bytes <= WINDOW_BYTES;
      if (!fits && this.unacked.length > 0) return;
      this.queued.shift();
      next.due = now;
      this.unacked.push(next);
    }
  }

  private place(seq: number, message: Message | undefined, bytes: number, now: number): Message[] {
    if (seq < this.expected) {
      this.repeated(seq, now);
      return [];
    }
    if (seq - this.expected >= WINDOW_MESSAGES) throw new Overflow();
    let waiting = bytes;
    for (const place of this.early.values()) waiting += place.bytes;
    if (seq > this.expected && !this.early.has(seq) && waiting > WINDOW_BYTES) throw new Overflow();
    if (!this.early.has(seq)) this.early.set(seq, { bytes, message });
    const ready: Message[] = [];
    for (let next = this.early.get(this.expected); next !== undefined; next = this.early.get(this.expected)) {
      this.early.delete(this.expected);
      this.expected += 1;
      if (next.message !== undefined) ready.push(next.message);
      this.ackDue ??= now + ACK_DELAY_MS;
    }
    return ready;
  }

  /** The other side has not heard our acknowledgement, and maybe not our reply either. */
  private repeated(seq: number, now: number): void {
    this.ackDue = now;
    for (const sent of this.unacked) {
      if (sent.re === seq && sent.sends > 0 && sent.sends < MAX_SENDS && sent.last + REPLY_AGAIN_MS <= now) sent.due = now;
    }
    const stored = this.storedErrors.find((reply) => reply.re === seq);
    if (stored !== undefined && this.errors.length === 0) this.errors.push(stored);
  }

  private get heard(): { ack?: number } {
    return this.expected > 0 ? { ack: this.expected - 1 } : {};
  }

  private numbered(seq: number, re: number | undefined, body: Body): Message {
    return { session: this.session, seq, ...this.heard, ...(re === undefined ? {} : { re }), body };
  }

  private unnumbered(body: Body, re: number | undefined): Message {
    this.ackDue = undefined;
    return { session: this.session, ...this.heard, ...(re === undefined ? {} : { re }), body };
  }
}
