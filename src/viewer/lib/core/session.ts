/**
 * One session as the viewer lives it: join, peer, offer, answer, candidates both ways, leave. It is told what happened
 * and when, and says what to do; it reads no clock and asks no chance.
 */

import {
  ANSWER_LIMIT_MS,
  CONNECT_LIMIT_MS,
  type End,
  MENDING_TIME_MS,
  OFFER_LIMIT_MS,
  overdue,
  type Phase,
  REASON_WAIT_MS,
  type SessionOutput,
  SILENCE_LIMIT_MS,
} from "./course.ts";
import { Delivery, Overflow } from "./delivery.ts";
import type { Malformed, Message } from "./envelope.ts";
import { ERRORS, type ErrorSlug, failureOf, slugOf } from "./errors.ts";
import { type Body, type Failure, isLastWord, type LeaveReason, type NodeInfo, type Wants } from "./message.ts";
import type { PeerCommand, PeerEvent } from "./port.ts";
import type { Step } from "./steps.ts";
import { Talks } from "./talks.ts";
import { earliest } from "./times.ts";

export type { PeerCommand, PeerEvent } from "./port.ts";

export type { End, Phase, SessionOutput } from "./course.ts";

/** What a session starts with. */
export interface Joining {
  /** 32 random lower-case hex digits. */
  id: string;
  /** Random text. */
  nonce: string;
  wants: Wants;
  token?: string | undefined;
}

export class Session {
  phase: Phase = "joining";
  /** The node as it introduced itself. */
  node: NodeInfo | undefined;
  /** When media could first flow. */
  connectedAt: number | undefined;
  private readonly talks: Talks;
  private limit: number | undefined;
  private outputs: SessionOutput[] = [];
  private linkUp = true;

  /** It has been asked for by our message `request`: a join, or what a call began with. */
  constructor(
    readonly id: string,
    private readonly delivery: Delivery,
    private readonly request: number,
    /** It began as a call, and so the node has known of it before. */
    readonly isCall: boolean,
    now: number,
  ) {
    this.talks = new Talks(delivery, (output) => this.outputs.push(output));
    this.limit = now + OFFER_LIMIT_MS;
  }

  /** Joins. */
  static join({ id, wants, token, nonce }: Joining, now: number): Session {
    const delivery = new Delivery(id, true);
    const request = delivery.send({ type: "join", wants, ...(token !== undefined && { token }), nonce }, undefined, now);
    const session = new Session(id, delivery, request, false, now);
    session.step("join", "out");
    return session;
  }

  /** What is to be done now. */
  takeOutputs(): SessionOutput[] {
    return this.outputs.splice(0);
  }

  /** The next message to publish. */
  pollTransmit(now: number): Message | undefined {
    if (this.phase !== "ended") this.talks.sendCandidates(now);
    return this.delivery.pollTransmit(now);
  }

  /** When {@link handleTimeout} or {@link pollTransmit} may have something to do. */
  pollTimeout(): number | undefined {
    const times = [this.delivery.pollTimeout()];
    if (this.phase !== "ended") times.push(this.talks.candidatesDue(), this.linkUp ? this.limit : undefined, this.linkUp ? this.talks.restartDue() : undefined);
    return earliest(times);
  }

  /** Whether it has ended and its last word has been heard, or never will be. */
  isOver(): boolean {
    return this.phase === "ended" && this.delivery.isSettled();
  }

  handleMessage(message: Message, bytes: number, now: number): void {
    this.guarded(now, () => {
      for (const each of this.delivery.receive(message, bytes, now)) this.act(each, now);
    });
    // Whoever still says something has not heard that we left.
    if (this.phase === "ended" && message.seq !== undefined && !isLastWord(message.body)) this.delivery.repeatLast(now);
  }

  /** A message that has been put in its order already. */
  take(message: Message, now: number): void {
    this.guarded(now, () => {
      this.act(message, now);
    });
  }

  /** A message of this session that could not be read. */
  handleMalformed(malformed: Malformed, now: number): void {
    if (!malformed.isError && this.phase !== "ended") this.delivery.sendError(failureOf(malformed.slug, malformed.message), malformed.seq);
    const { seq } = malformed;
    if (seq === undefined) return;
    this.guarded(now, () => {
      for (const each of this.delivery.skip(seq, now)) this.act(each, now);
    });
  }

  handlePeer(event: PeerEvent, now: number): void {
    if (this.phase === "ended") return;
    switch (event.type) {
      case "answered":
        this.answered(event.sdp, now);
        break;
      case "offered":
        this.guarded(now, () => {
          this.talks.offerMade(event.sdp, now);
        });
        break;
      case "candidates":
        this.talks.found(event.candidates, event.complete);
        break;
      case "connected":
        if (this.phase === "silent") {
          this.recovered(now);
        } else if (this.phase !== "connected" && this.phase !== "closing") {
          this.phase = "connected";
          this.connectedAt = now;
          this.limit = undefined;
          this.delivery.setPersistent(true, now);
          this.step("connected");
        }
        break;
      case "silent":
        this.lost(now, false);
        break;
      case "recovered":
        if (this.phase === "silent") this.recovered(now);
        break;
      case "closed":
        // The node's leave, which says why, comes over the broker and so a little later.
        if (this.phase === "closing") break;
        this.phase = "closing";
        this.limit = now + REASON_WAIT_MS;
        break;
      case "failed":
        // The browser has given the path up; a restart may find another.
        if (event.step === "iceFailed" && (this.phase === "connected" || this.phase === "silent")) this.lost(now, true);
        else this.fail(event.step, event.message, now);
        break;
    }
  }

  /** Media come in, whatever the connection says of its path. */
  mediaFlow(now: number): void {
    if (this.phase === "silent") this.recovered(now);
  }

  /** This machine's network has changed: the path may be of before. */
  networkChanged(now: number): void {
    this.talks.networkChanged(now);
    if (this.phase === "connected") this.restart(now);
  }

  /** Restarts ICE, as far as there is a path. */
  restart(now: number): void {
    if (this.phase !== "connected" && this.phase !== "silent") return;
    this.guarded(now, () => {
      this.talks.restart(now);
    });
  }

  /** Nothing comes any more; `forGood` if it will not mend by itself. */
  lost(now: number, forGood: boolean): void {
    if (this.phase !== "connected" && !(this.phase === "silent" && forGood)) return;
    if (this.phase === "connected") {
      this.limit = now + SILENCE_LIMIT_MS;
      this.delivery.setPersistent(false, now);
      this.step("silent");
    }
    this.phase = "silent";
    this.talks.lost(now, forGood);
  }

  handleTimeout(now: number): void {
    const restart = this.talks.restartDue();
    if (this.linkUp && restart !== undefined && restart <= now) this.restart(now);
    if (this.delivery.hasFailed(now)) {
      if (this.phase === "ended") this.delivery.giveUp();
      else this.fail("signallingLost", "the node acknowledges nothing", now);
    } else if (this.phase !== "ended" && this.linkUp && this.limit !== undefined && this.limit <= now) {
      const late = overdue(this.phase);
      if (this.phase === "closing") this.closedByPeer();
      else if (late !== undefined) this.fail(late.slug, late.message, now);
    }
  }

  /** Follows the connection to the broker. */
  setLink(up: boolean, now: number): void {
    if (up && !this.linkUp && this.phase === "silent") {
      this.limit = Math.max(this.limit ?? now, now + MENDING_TIME_MS);
      // Broker and path lost together: that was the network.
      this.talks.networkChanged(now);
    }
    this.linkUp = up;
    this.delivery.setLink(up, now);
  }

  /** The token it began with is about to end; here is another. */
  renew(token: string, now: number): void {
    if (this.phase === "ended") return;
    this.guarded(now, () => this.delivery.send({ type: "renew", token }, undefined, now));
  }

  /** We leave. */
  leave(reason: LeaveReason, now: number): void {
    if (this.phase === "ended") return;
    this.delivery.sendLast({ type: "leave", reason }, now);
    this.step("leave", "out", reason);
    this.end({ how: "left", reason });
  }

  /** It cannot go on: says so to the node, and leaves. */
  fail(slug: ErrorSlug, message: string, now: number): void {
    if (this.phase === "ended") return;
    this.delivery.sendError(failureOf(slug, message), undefined);
    this.delivery.sendLast({ type: "leave", reason: "failed" }, now);
    this.step("failed", undefined, `${slug}: ${message}`);
    this.end({ how: "failed", slug, message });
  }

  /** The node has started anew and knows nothing of it. */
  rebooted(): void {
    if (this.phase === "ended") return;
    this.step("rebooted");
    this.end({ how: "rebooted" });
  }

  private act(message: Message, now: number): void {
    if (this.phase === "ended") return;
    const { body, seq, re } = message;
    switch (body.type) {
      case "peer":
        this.step("peer", "in");
        this.introduced(body);
        break;
      case "offer":
        this.offered(body, seq ?? 0, now);
        break;
      case "answer":
        this.talks.theirAnswer(body.sdp, message, now);
        break;
      case "ice":
        this.talks.theirCandidates(body);
        break;
      case "leave":
        this.step("leave", "in", body.reason);
        this.end({ how: "theyLeft", reason: body.reason });
        break;
      case "cancel":
        // The node hangs up, or it has crossed our acceptance, and counts.
        this.step("cancelled", "in", body.reason);
        this.end({ how: "hungUp" });
        break;
      case "error":
        this.theyFailed(body, re);
        break;
      default:
        // Calls are for the node; a status stands outside of sessions.
        this.delivery.sendError(failureOf("unsupported", `no ${body.type} here`), seq);
    }
  }

  private introduced(body: Extract<Body, { type: "peer" }>): void {
    this.node = body.node;
    if (this.phase === "joining") {
      this.phase = "opening";
      this.step("opening");
      this.command({ do: "open", iceServers: body.iceServers });
    } else {
      this.command({ do: "configure", iceServers: body.iceServers });
    }
  }

  private offered(body: Extract<Body, { type: "offer" }>, seq: number, now: number): void {
    if (this.phase === "joining") {
      this.delivery.sendError(failureOf("offerFailed", "an offer before peer"), seq);
      return;
    }
    if (this.phase === "opening") {
      this.phase = "answering";
      this.limit = now + ANSWER_LIMIT_MS;
    }
    this.talks.theirOffer({ seq, offer: body }, now);
  }

  private answered(sdp: string, now: number): void {
    this.guarded(now, () => {
      if (!this.talks.answerMade(sdp, now)) return;
      if (this.phase !== "answering") return;
      this.phase = "checking";
      this.limit = now + CONNECT_LIMIT_MS;
    });
  }

  private recovered(now: number): void {
    this.phase = "connected";
    this.limit = undefined;
    this.talks.mended(now);
    this.delivery.setPersistent(true, now);
    this.step("recovered");
  }

  private theyFailed(failure: Failure, re: number | undefined): void {
    const slug = slugOf(failure.code);
    // Something later has overtaken the join, which is yet to arrive.
    if (this.phase === "joining" && slug === "unknownSession" && !this.isCall) return;
    if (re === this.request) {
      this.step("refused", "in", slug ?? String(failure.code));
      this.end({ how: "refused", failure });
    } else if (slug === undefined || ERRORS[slug].ends) {
      this.step("failed", "in", slug ?? String(failure.code));
      this.end({ how: "theyFailed", failure });
    } else {
      this.talks.theirError(re);
      this.outputs.push({ type: "notice", failure });
    }
  }

  private closedByPeer(): void {
    this.step("leave", "in", "the connection was closed");
    this.end({ how: "closedByPeer" });
  }

  private end(end: End): void {
    this.phase = "ended";
    this.limit = undefined;
    if (end.how !== "left" && end.how !== "failed") this.delivery.giveUp();
    this.command({ do: "close" });
    this.outputs.push({ type: "ended", end });
  }

  private command(command: PeerCommand): void {
    this.outputs.push({ type: "peer", command });
  }

  private step(step: Step, direction?: "in" | "out", detail?: string): void {
    this.outputs.push({ type: "step", step, ...(direction && { direction }), ...(detail && { detail }) });
  }

  private guarded(now: number, action: () => unknown): void {
    try {
      action();
    } catch (error) {
      if (!(error instanceof Overflow)) throw error;
      this.fail("windowOverflow", error.message, now);
    }
  }
}
