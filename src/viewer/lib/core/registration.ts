/**
 * Being registered at the node, to be called (PROTOCOL.md, section 7): asked for, repeated until it is answered, renewed in
 * time, and begun anew when the node or the way to it has been away.
 */

import { RESEND_WAITS_MS } from "./delivery.ts";
import type { Message } from "./envelope.ts";
import { ERRORS, type ErrorSlug, slugOf } from "./errors.ts";
import type { Body } from "./message.ts";
import { backOffMs, type Chance, REBOOT_SPREAD_MS } from "./retry.ts";
import { earliest } from "./times.ts";

/**
 * How long the node may ring us without having heard of us. Half of it is the time between two renewals, by which a broker
 * sees that we are there even where the browser lets a page's timers fire once a minute.
 */
const TTL_S = 80;
/** A request that is not answered for so long after its last repetition has failed. */
const LAST_WAIT_MS = 4_000;

/** What keeps us from being registered. */
export interface Refusal {
  readonly reason: ErrorSlug | "noToken";
  readonly said: string;
}

interface Request {
  readonly seq: number;
  readonly body: Extract<Body, { type: "register" }> | { type: "unregister" };
  sends: number;
  due: number;
}

export class Registration {
  /** The name to be called by; absent when we do not want to be called. */
  name: string | undefined;
  refusal: Refusal | undefined;
  private reachable = false;
  private request: Request | undefined;
  /** When to ask next. */
  private at: number | undefined;
  /** Until then the node has us, as far as we know. */
  private until: number | undefined;
  private asking = false;
  private failures = 0;
  private seq: number | undefined;

  constructor(
    private readonly chance: Chance,
    /** Whether a refused token can be followed by another one. */
    private readonly hasMoreTokens: boolean,
  ) {}

  /** Whether the node will ring us. */
  get isOn(): boolean {
    return this.name !== undefined && this.until !== undefined && this.reachable;
  }

  /** Whether nothing is left to be said. */
  get isSettled(): boolean {
    return this.name === undefined && this.request === undefined;
  }

  want(name: string, now: number): void {
    if (this.name === name && this.refusal === undefined) return;
    this.name = name;
    this.begin(now);
  }

  unwant(now: number): void {
    if (this.name === undefined) return;
    const isKnown = this.until !== undefined || this.request !== undefined;
    this.name = this.at = this.until = this.request = this.refusal = undefined;
    this.asking = false;
    if (isKnown && this.reachable) this.send({ type: "unregister" }, now);
  }

  /** Follows the way to the node, by broker and all. */
  follow(reachable: boolean, now: number): void {
    if (reachable === this.reachable) return;
    this.reachable = reachable;
    this.request = undefined;
    this.asking = false;
    if (reachable && this.name !== undefined) this.at ??= now;
    // What the node has we learn when it can be asked again.
    if (!reachable) this.at = undefined;
  }

  /** The node has started anew and knows nobody: its peers come back spread over some time. */
  rebooted(now: number): void {
    this.until = this.request = undefined;
    this.asking = false;
    if (this.name !== undefined) this.at = now + this.chance() * REBOOT_SPREAD_MS;
  }

  /** Whether to register now; then comes {@link register} or {@link unpermitted}. */
  takeDue(now: number): boolean {
    const isDue = this.reachable && this.name !== undefined && !this.asking && this.request === undefined && this.at !== undefined && this.at <= now;
    if (isDue) this.asking = true;
    return isDue;
  }

  register(token: string | undefined, now: number): void {
    if (!this.asking || this.name === undefined) return;
    this.asking = false;
    this.send({ type: "register", name: this.name, ttl: TTL_S, ...(token !== undefined && { token }) }, now);
  }

  /** No token was to be had. */
  unpermitted(said: string, now: number): void {
    if (!this.asking) return;
    this.asking = false;
    this.refusal = { reason: "noToken", said };
    this.later(now, 0);
  }

  /** Takes an answer in; whether it was one to us. */
  answered({ re, body }: Message, now: number): boolean {
    const isOurs = body.type === "registered" || body.type === "unregistered" || body.type === "error";
    if (!isOurs || re === undefined || re !== this.request?.seq) return false;
    const asked = this.request.body.type;
    this.request = undefined;
    if (asked === "unregister") return true;
    if (body.type === "registered") {
      this.failures = 0;
      this.refusal = undefined;
      this.until = now + body.ttl * 1_000;
      this.at = now + body.ttl * 500;
    } else if (body.type === "error") {
      const slug = slugOf(body.code);
      const isOfToken = slug === "tokenExpired" || slug === "tokenMissing" || slug === "notAllowed";
      const mayTry = slug === undefined ? body.retryAfter !== undefined : ERRORS[slug].retry || (isOfToken && this.hasMoreTokens);
      this.refusal = { reason: slug ?? "internal", said: body.message };
      if (mayTry) this.later(now, (body.retryAfter ?? 0) * 1_000);
      else this.at = undefined;
    } else {
      this.later(now, 0);
    }
    return true;
  }

  /** The next message to publish. */
  poll(now: number): Message | undefined {
    const { request } = this;
    if (request === undefined || request.due > now || !this.reachable) return undefined;
    const wait = RESEND_WAITS_MS[request.sends];
    if (request.sends > RESEND_WAITS_MS.length) {
      this.request = undefined;
      if (this.name !== undefined) this.later(now, 0);
      return undefined;
    }
    request.sends += 1;
    request.due = now + (wait ?? LAST_WAIT_MS);
    return { seq: request.seq, body: request.body };
  }

  handleTimeout(now: number): void {
    if (this.until !== undefined && this.until <= now) this.until = undefined;
  }

  pollTimeout(): number | undefined {
    const next = this.reachable && !this.asking ? (this.request?.due ?? this.at) : undefined;
    return earliest([next, this.until]);
  }

  private begin(now: number): void {
    this.refusal = this.until = this.request = undefined;
    this.asking = false;
    this.failures = 0;
    this.at = now;
  }

  private later(now: number, atLeastMs: number): void {
    this.at = now + Math.max(backOffMs(this.failures, this.chance), atLeastMs);
    this.failures += 1;
  }

  private send(body: Request["body"], now: number): void {
    // What an earlier page of this peer has asked may be answered late: its numbers are others.
    this.seq = ((this.seq ?? Math.floor(this.chance() * 2 ** 31)) + 1) % 2 ** 32;
    this.request = { seq: this.seq, body, sends: 0, due: now };
  }
}
