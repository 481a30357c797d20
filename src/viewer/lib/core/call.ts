/**
 * One call until it is a session: who rings whom, and what is answered (PROTOCOL.md, section 7). When it has been accepted
 * and the node lets us in, it goes on as a {@link Session}; nothing is opened before.
 */

import { Delivery, Overflow } from "./delivery.ts";
import type { Malformed, Message } from "./envelope.ts";
import { ERRORS, type ErrorSlug, failureOf, slugOf } from "./errors.ts";
import { type CancelReason, type Failure, isLastWord, type RejectReason, type Wants } from "./message.ts";
import { Session, type SessionOutput } from "./session.ts";
import type { Step } from "./steps.ts";
import { earliest } from "./times.ts";

/** How long a call may ring here; the caller gives up earlier. */
export const RINGS_HERE_MS = 120_000;
/** From `accepted` to the node's `peer`, which comes at once. */
const LET_IN_LIMIT_MS = 20_000;

export type CallPhase = "calling" | "ringing" | "accepted" | "over";

/** Why a call ended before it became a session: what was answered, or what went wrong. */
export type CallEnd =
  | RejectReason
  /** Somebody else has taken it. */
  | "answered"
  /** The caller gave it up, or we did. */
  | "cancelled"
  /** The node has ended one of ours, or one that we had accepted. */
  | "hungUp"
  /** It takes a token, and none was to be had. */
  | "noToken"
  | ErrorSlug;

/** What we want of the other side, and what shows that we may. */
export interface Asking {
  readonly wants: Wants;
  readonly token: string | undefined;
  /** Random text. */
  readonly nonce: string;
}

export class Call {
  phase: CallPhase = "calling";
  /** How it ended, and what was said of it. */
  end: { readonly reason: CallEnd; readonly said?: string } | undefined;
  /** What it has become, once the node has let us in. */
  session: Session | undefined;
  private limit: number | undefined;
  /** `seq` of our message that the node lets us in by. */
  private request = 0;
  private steps: Extract<SessionOutput, { type: "step" }>[] = [];

  private constructor(
    readonly id: string,
    readonly direction: "incoming" | "outgoing",
    private readonly delivery: Delivery,
  ) {}

  /** We call the node, for at most `ringMs`. */
  static outgoing(id: string, from: string, { wants, token, nonce }: Asking, ringMs: number, now: number): Call {
    const call = new Call(id, "outgoing", new Delivery(id, true));
    call.request = call.delivery.send({ type: "call", from, wants, ...(token !== undefined && { token }), nonce }, undefined, now);
    call.limit = now + ringMs;
    call.step("call", "out");
    return call;
  }

  /** The node calls us by this message; neither rung nor rejected yet. */
  static incoming(id: string, message: Message, bytes: number, now: number): Call {
    const call = new Call(id, "incoming", new Delivery(id, true));
    call.delivery.receive(message, bytes, now);
    call.phase = "ringing";
    call.limit = now + RINGS_HERE_MS;
    call.step("call", "in");
    return call;
  }

  /** Whether it will be a session if nothing comes between. */
  get isOurs(): boolean {
    return this.phase === "accepted" || (this.direction === "outgoing" && this.phase !== "over");
  }

  /** Whether it has ended and its last word has been heard, or never will be. */
  isOver(): boolean {
    return this.phase === "over" && this.delivery.isSettled();
  }

  takeSteps(): Extract<SessionOutput, { type: "step" }>[] {
    return this.steps.splice(0);
  }

  pollTransmit(now: number): Message | undefined {
    return this.delivery.pollTransmit(now);
  }

  pollTimeout(): number | undefined {
    return earliest([this.delivery.pollTimeout(), this.limit]);
  }

  setLink(up: boolean, now: number): void {
    this.delivery.setLink(up, now);
  }

  /** Tells the caller that it rings here. */
  ring(now: number): void {
    this.delivery.send({ type: "ringing" }, 0, now);
    this.step("ringing", "out");
  }

  /** A person has answered. */
  accept({ wants, token, nonce }: Asking, now: number): void {
    if (this.direction !== "incoming" || this.phase !== "ringing") return;
    const more = token === undefined ? {} : { token };
    this.request = this.delivery.send({ type: "callResponse", response: "accepted", nonce, wants, ...more }, 0, now);
    this.step("accepted", "out");
    this.accepted(now);
  }

  /** It is not taken; `end` tells it more closely to those here. */
  reject(reason: RejectReason, now: number, end: CallEnd = reason, said?: string): void {
    if (this.direction !== "incoming" || this.phase !== "ringing") return;
    this.delivery.sendLast({ type: "callResponse", response: "rejected", reason }, now, 0);
    this.step("rejected", "out", reason);
    this.over(end, said);
  }

  /** We give it up: before the answer, or after. */
  hangUp(now: number, reason: CancelReason = "closed"): void {
    if (!this.isOurs) return;
    if (this.phase === "accepted") this.delivery.sendLast({ type: "leave", reason: "closed" }, now);
    else this.delivery.sendLast({ type: "cancel", reason }, now);
    this.step(this.phase === "accepted" ? "leave" : "cancelled", "out", reason);
    this.over(reason === "timeout" ? "timeout" : "cancelled");
  }

  /** The node has gone, or started anew: nobody waits at the other end. */
  gone(): void {
    if (this.phase === "over") return;
    this.delivery.giveUp();
    this.step("rebooted");
    this.over(this.isOurs ? "signallingLost" : "cancelled");
  }

  handleMessage(message: Message, bytes: number, now: number): void {
    this.guarded(now, () => {
      for (const each of this.delivery.receive(message, bytes, now)) this.take(each, now);
    });
    // An acceptance that has crossed our cancel, or a call that we have rejected, gets that again.
    if (this.phase === "over" && message.seq !== undefined && !isLastWord(message.body)) this.delivery.repeatLast(now);
  }

  /** A message of this call that could not be read. */
  handleMalformed(malformed: Malformed, now: number): void {
    const { seq } = malformed;
    if (!malformed.isError && this.phase !== "over") this.delivery.sendError(failureOf(malformed.slug, malformed.message), seq);
    if (seq === undefined) return;
    this.guarded(now, () => {
      for (const each of this.delivery.skip(seq, now)) this.take(each, now);
    });
  }

  handleTimeout(now: number): void {
    if (this.delivery.hasFailed(now)) {
      if (this.phase === "over") this.delivery.giveUp();
      else this.fail("signallingLost", "the node acknowledges nothing", now);
    } else if (this.limit !== undefined && this.limit <= now) {
      if (this.phase === "accepted") this.fail("timedOut", "the node has not let us in", now);
      else if (this.direction === "incoming") this.reject("timeout", now);
      else this.hangUp(now, "timeout");
    }
  }

  private take(message: Message, now: number): void {
    if (this.session !== undefined) this.session.take(message, now);
    else if (this.phase !== "over") this.act(message, now);
  }

  private act(message: Message, now: number): void {
    const { body, seq, re } = message;
    switch (body.type) {
      case "ringing":
        if (this.phase !== "calling") return;
        this.phase = "ringing";
        this.step("ringing", "in");
        break;
      case "callResponse":
        if (this.direction === "incoming" || this.phase === "accepted") break;
        if (body.response === "rejected") {
          this.step("rejected", "in", body.reason);
          this.theyEnded(body.reason, body.message);
        } else {
          this.step("accepted", "in");
          this.accepted(now);
        }
        break;
      case "peer":
        if (this.phase !== "accepted") break;
        this.session = new Session(this.id, this.delivery, this.request, true, now);
        this.limit = undefined;
        this.session.take(message, now);
        break;
      case "cancel":
        this.step("cancelled", "in", body.reason);
        if (body.reason === "closed" && this.isOurs) this.theyEnded("hungUp");
        else this.theyEnded(body.reason === "closed" || body.reason === "failed" ? "cancelled" : body.reason);
        break;
      case "leave":
        this.step("leave", "in", body.reason);
        this.theyEnded("cancelled");
        break;
      case "error":
        this.theyFailed(body, re);
        break;
      default:
        this.delivery.sendError(failureOf("unsupported", `no ${body.type} before a call is accepted`), seq);
    }
  }

  private theyFailed(failure: Failure, re: number | undefined): void {
    const slug = slugOf(failure.code);
    // Something later has overtaken the call, which is yet to arrive.
    if (this.phase === "calling" && slug === "unknownSession") return;
    const aboutOurs = re === this.request && (this.direction === "outgoing" || this.phase === "accepted");
    if (!aboutOurs && slug !== undefined && !ERRORS[slug].ends) return;
    this.step(aboutOurs ? "refused" : "failed", "in", slug ?? String(failure.code));
    this.theyEnded(slug ?? "internal", failure.message);
  }

  /** What we have said before, nobody waits for any more. */
  private theyEnded(reason: CallEnd, said?: string): void {
    this.delivery.giveUp();
    this.over(reason, said);
  }

  private accepted(now: number): void {
    this.phase = "accepted";
    this.limit = now + LET_IN_LIMIT_MS;
  }

  private fail(slug: ErrorSlug, message: string, now: number): void {
    this.delivery.sendError(failureOf(slug, message), undefined);
    if (this.phase === "accepted") this.delivery.sendLast({ type: "leave", reason: "failed" }, now);
    else if (this.direction === "outgoing") this.delivery.sendLast({ type: "cancel", reason: "failed" }, now);
    else this.delivery.giveUp();
    this.step("failed", undefined, `${slug}: ${message}`);
    this.over(slug, message);
  }

  private over(reason: CallEnd, said?: string): void {
    this.phase = "over";
    this.limit = undefined;
    this.end = { reason, ...(said !== undefined && { said }) };
  }

  private step(step: Step, direction?: "in" | "out", detail?: string): void {
    this.steps.push({ type: "step", step, ...(direction && { direction }), ...(detail && { detail }) });
  }

  private guarded(now: number, action: () => void): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof Overflow)) throw error;
      if (this.phase !== "over") this.fail("windowOverflow", error.message, now);
    }
  }
}
