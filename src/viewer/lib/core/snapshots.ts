/**
 * Still pictures over the broker (PROTOCOL.md, section 8): asked for one after the other, as the node gives a peer one at a
 * time; no session is needed, and none is begun.
 */

import type { Message } from "./envelope.ts";
import { failureOf, slugOf } from "./errors.ts";
import type { Input, ViewerConfig } from "./io.ts";
import type { Failure } from "./message.ts";
import type { Outbox } from "./outbox.ts";
import type { Chance } from "./retry.ts";
import { earliest } from "./times.ts";

/** A picture that has not come for so long, waiting for broker and node included, will not come. */
const LIMIT_MS = 15_000;
/** A request that is lost is repeated after so long; the node may have to open its camera first. */
const AGAIN_MS = 4_000;

type Asked = Extract<Input, { type: "snapshot" }>;

interface Wanted {
  readonly asked: Asked;
  readonly limit: number;
  /** It is not said before. */
  at: number;
  /** Somebody makes a token for it. */
  tokenAsk?: number;
  /** What has been said, and when it is said again. */
  sent?: { readonly seq: number; readonly token: string | undefined; again: number };
}

export class Snapshots {
  private readonly wanted: Wanted[] = [];
  private reachable = false;
  private seq: number | undefined;

  constructor(
    private readonly config: ViewerConfig,
    private readonly chance: Chance,
    private readonly out: Outbox,
  ) {}

  /** Whether none is awaited. */
  get isSettled(): boolean {
    return this.wanted.length === 0;
  }

  want(asked: Asked, now: number): void {
    this.wanted.push({ asked, limit: now + LIMIT_MS, at: now });
  }

  /** Follows the way to the node, by broker and all. */
  follow(reachable: boolean): void {
    if (reachable === this.reachable) return;
    this.reachable = reachable;
    // What was on its way is asked for anew.
    const [first] = this.wanted;
    if (!reachable) delete first?.sent;
  }

  /** Takes a token in, or that there is none; whether it was one of ours. */
  permitted(input: Extract<Input, { type: "token" | "noToken" }>, now: number): boolean {
    const [first] = this.wanted;
    if (first?.tokenAsk !== input.ask) return false;
    delete first.tokenAsk;
    if (input.type === "token") this.send(first, input.token, now);
    else this.done({ failure: failureOf("tokenMissing", input.said) });
    return true;
  }

  /** Takes an answer in; whether it was one to us. */
  answered({ re, body }: Message, now: number): boolean {
    const [first] = this.wanted;
    if (first?.sent === undefined || re !== first.sent.seq) return false;
    if (body.type === "picture") this.done({ picture: body });
    else if (body.type !== "error") return false;
    else if (slugOf(body.code) !== "rateLimited" || now + (body.retryAfter ?? 1) * 1_000 >= first.limit) this.done({ failure: body });
    else {
      delete first.sent;
      first.at = now + (body.retryAfter ?? 1) * 1_000;
    }
    return true;
  }

  handleTimeout(now: number): void {
    for (let first = this.wanted[0]; first !== undefined && first.limit <= now; first = this.wanted[0]) {
      this.done({ failure: failureOf("timedOut", "no picture came in time") });
    }
  }

  pollTimeout(): number | undefined {
    const [first] = this.wanted;
    if (first === undefined) return undefined;
    const next = first.sent?.again ?? (first.tokenAsk === undefined ? first.at : undefined);
    return earliest([first.limit, this.reachable ? next : undefined]);
  }

  /** Says what there is to say. */
  settle(now: number): void {
    const [first] = this.wanted;
    if (first === undefined || !this.reachable || first.tokenAsk !== undefined) return;
    if (first.sent !== undefined && first.sent.again <= now) this.say(first, first.sent, now);
    else if (first.sent !== undefined || first.at > now) return;
    else if (this.config.asksForToken === true) first.tokenAsk = this.out.askToken();
    else this.send(first, this.config.token, now);
  }

  private send(wanted: Wanted, token: string | undefined, now: number): void {
    // What an earlier page of this peer has asked may be answered late: its numbers are others.
    this.seq = ((this.seq ?? Math.floor(this.chance() * 2 ** 31)) + 1) % 2 ** 32;
    wanted.sent = { seq: this.seq, token, again: now };
    if (this.reachable) this.say(wanted, wanted.sent, now);
  }

  private say({ asked }: Wanted, sent: NonNullable<Wanted["sent"]>, now: number): void {
    const { camera, width, maxBytes } = asked;
    const { seq, token } = sent;
    const wish = { ...(camera !== undefined && { camera }), ...(width !== undefined && { width }), ...(maxBytes !== undefined && { maxBytes }) };
    this.out.publish({ seq, body: { type: "snapshot", ...wish, ...(token !== undefined && { token }) } }, now);
    sent.again = now + AGAIN_MS;
  }

  private done(result: { picture: Extract<Message["body"], { type: "picture" }> } | { failure: Failure }): void {
    const first = this.wanted.shift();
    if (first !== undefined) this.out.push({ type: "snapshot", ask: first.asked.ask, ...result });
  }
}
