/**
 * A node as PROTOCOL.md has it, with one camera, in the fewest lines: its own numbering, acknowledging and repeating, so
 * that a mistake of the viewer's is not met by the same one here.
 */

import { type Message, readMessage, writeMessage } from "../lib/core/envelope.ts";
import { ERRORS, type ErrorSlug } from "../lib/core/errors.ts";
import { type Body, isLastWord } from "../lib/core/message.ts";
import { BOOT } from "./node.ts";

const WAITS_MS = [500, 1_000, 2_000, 4_000, 4_000, 4_000];
const ACK_AFTER_MS = 100;
const ANSWER_LIMIT_MS = 20_000;
const CONNECT_LIMIT_MS = 30_000;
const RING_MS = 20_000;

interface Sent {
  readonly message: Message & { seq: number };
  sends: number;
  due: number;
}

type Phase = "ringing" | "offered" | "answered" | "live" | "over";

class Session {
  phase: Phase = "offered";
  expected = 0;
  nextSeq = 0;
  readonly early = new Map<number, Message>();
  unacked: Sent[] = [];
  ackDue: number | undefined;
  /** The answer or the connection must have come by then. */
  limit: number | undefined;
  /** Of our ICE credentials, from 1, and theirs, once they are described. */
  ours = 1;
  theirs: string | undefined;
  /** The `seq` of our offer that waits for its answer. */
  offered: number | undefined;
  /** What we have said at its end. */
  lastWord: Sent | undefined;

  constructor(readonly id: string) {}

  get isAlive(): boolean {
    return this.phase !== "over";
  }
}

export class ScriptedNode {
  readonly sessions = new Map<string, Session>();
  /** What became of each call of ours: `taken`, or why not. */
  readonly rings = new Map<string, string>();
  /** Who is registered, as the peer's last word has it. */
  registered: string | undefined;
  private outgoing: Message[] = [];

  constructor(
    /** Our description or theirs is another one: both sides may find each other now, or no longer. */
    private readonly described: (session: string) => void,
    /** The node has closed its end. */
    private readonly closed: (session: string) => void,
  ) {}

  /** Sessions that have not ended. */
  get alive(): Session[] {
    return [...this.sessions.values()].filter((each) => each.isAlive);
  }

  handle(payload: string, now: number): void {
    const message = readMessage(payload);
    if (message.session === undefined) {
      this.registration(message);
      return;
    }
    const known = this.sessions.get(message.session);
    if (known !== undefined) this.heard(known, message, now);
    else if (message.body.type === "join" || message.body.type === "call") this.join(message, now);
    else if (message.seq !== undefined) this.stray(message, message.session, message.seq);
  }

  /** Calls the viewer. */
  ring(id: string, now: number): void {
    const session = new Session(id);
    session.phase = "ringing";
    session.limit = now + RING_MS;
    this.sessions.set(id, session);
    this.say(session, { type: "call", from: "porch", nonce: "n" }, now);
  }

  /** Hangs up on whoever is in a session. */
  hangUp(now: number): void {
    for (const each of this.alive) {
      this.over(each);
      this.say(each, { type: "cancel", reason: "closed" }, now);
      each.lastWord = each.unacked[0];
    }
  }

  connected(id: string): void {
    const session = this.sessions.get(id);
    if (session?.phase !== "answered") return;
    session.phase = "live";
    session.limit = undefined;
  }

  /** Whether the two sides know each other's latest credentials. */
  isMet(id: string, viewer: { ours: string; theirs: string | undefined }): boolean {
    const session = this.sessions.get(id);
    return session?.isAlive === true && session.theirs === viewer.ours && viewer.theirs === `node${session.ours}`;
  }

  /** Offers with new ICE credentials. */
  restart(id: string, now: number): void {
    const session = this.sessions.get(id);
    if (session?.phase !== "live") return;
    session.ours += 1;
    session.offered = session.nextSeq;
    this.say(session, { type: "offer", sdp: sdpOf(session), mids: { "0": { camera: "front", kind: "video" } } }, now);
    this.described(id);
  }

  /** DTLS' goodbye has come. */
  closedByViewer(id: string): void {
    const session = this.sessions.get(id);
    if (session?.isAlive === true) this.over(session);
  }

  /** What is to be published now, as text. */
  take(now: number): string[] {
    for (const session of this.sessions.values()) this.turn(session, now);
    return this.outgoing.splice(0).map(writeMessage);
  }

  pollTimeout(): number | undefined {
    const times = [...this.sessions.values()].flatMap((each) => [each.ackDue, each.limit, ...each.unacked.map(({ due }) => due)]);
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  private join(message: Message, now: number): void {
    const id = message.session ?? "";
    const session = new Session(id);
    const earlier = this.alive;
    this.sessions.set(id, session);
    session.expected = 1;
    session.ackDue = now + ACK_AFTER_MS;
    if (message.body.type === "call") {
      // What has been called for goes before what we call for.
      for (const each of earlier) if (each.phase === "ringing") this.cancel(each, "answered", now);
      this.say(session, { type: "ringing" }, now, 0);
      this.say(session, { type: "callResponse", response: "accepted", nonce: "n" }, now, 0);
    }
    this.letIn(session, 0, earlier, now);
  }

  private letIn(session: Session, request: number, earlier: Session[], now: number): void {
    session.phase = "offered";
    session.limit = now + ANSWER_LIMIT_MS;
    this.say(session, { type: "peer", iceServers: [], node: { name: "Front door", boot: BOOT, version: "0.1.0" }, nonce: "n" }, now, request);
    session.offered = session.nextSeq;
    this.say(session, { type: "offer", sdp: sdpOf(session), mids: { "0": { camera: "front", kind: "video" } } }, now, request);
    this.say(session, { type: "ice", candidates: [{ candidate: "c", usernameFragment: "node1" }], complete: true }, now);
    // A ring is no session yet, and goes on when somebody joins.
    for (const each of earlier) if (each.isAlive && each.phase !== "ringing") this.leave(each, "replaced", now);
  }

  private registration({ seq, body }: Message): void {
    if (body.type !== "register" && body.type !== "unregister") return;
    this.registered = body.type === "register" ? body.name : undefined;
    const answer: Body = body.type === "register" ? { type: "registered", name: body.name, ttl: body.ttl } : { type: "unregistered" };
    this.outgoing.push({ ...(seq !== undefined && { re: seq }), body: answer });
  }

  private cancel(session: Session, reason: "timeout" | "answered", now: number): void {
    this.rings.set(session.id, reason);
    this.over(session);
    this.say(session, { type: "cancel", reason }, now);
    session.lastWord = session.unacked[0];
  }

  private heard(session: Session, message: Message, now: number): void {
    const { ack, seq, body } = message;
    if (ack !== undefined) session.unacked = session.unacked.filter(({ message: sent }) => sent.seq > ack);
    if (body.type === "error" && ack === undefined && message.re === undefined) return;
    if (seq === undefined) return;
    const isRejection = body.type === "callResponse" && body.response === "rejected";
    if (isRejection && session.phase === "ringing") this.rings.set(session.id, body.reason);
    if (body.type === "leave" || body.type === "cancel" || isRejection) {
      session.expected = Math.max(session.expected, seq + 1);
      session.ackDue = now;
      if (session.isAlive) this.over(session);
      return;
    }
    if (!session.isAlive) {
      session.expected = Math.max(session.expected, seq + 1);
      session.ackDue = now;
      if (session.lastWord !== undefined) session.unacked = [{ ...session.lastWord, sends: 0, due: now }];
      return;
    }
    if (seq < session.expected) {
      session.ackDue = now;
      for (const sent of session.unacked) if (sent.message.re === seq) sent.due = now;
      return;
    }
    session.early.set(seq, message);
    for (let next = session.early.get(session.expected); next !== undefined; next = session.early.get(session.expected)) {
      session.early.delete(session.expected);
      session.expected += 1;
      session.ackDue ??= now + ACK_AFTER_MS;
      this.act(session, next, now);
    }
  }

  private act(session: Session, { body, seq, re }: Message, now: number): void {
    if (body.type === "callResponse" && session.phase === "ringing") {
      this.rings.set(session.id, "taken");
      this.letIn(session, seq ?? 0, this.alive.filter((each) => each !== session), now);
    } else if (body.type === "answer" && session.offered !== undefined && re === session.offered) {
      session.offered = undefined;
      session.theirs = ufragOf(body.sdp);
      if (session.phase === "offered") {
        session.phase = "answered";
        session.limit = now + CONNECT_LIMIT_MS;
      }
      this.described(session.id);
    } else if (body.type === "offer") {
      // When offers cross, ours is taken back.
      session.offered = undefined;
      session.ours += 1;
      session.theirs = ufragOf(body.sdp);
      this.say(session, { type: "answer", sdp: sdpOf(session) }, now, seq);
      this.say(session, { type: "ice", candidates: [{ candidate: "c", usernameFragment: `node${session.ours}` }], complete: true }, now);
      this.described(session.id);
    }
  }

  private stray({ body }: Message, session: string, seq: number): void {
    if (isLastWord(body)) this.outgoing.push({ session, ack: seq, body: { type: "ack" } });
    else this.outgoing.push({ session, re: seq, body: failure("unknownSession") });
  }

  private turn(session: Session, now: number): void {
    const heard = session.expected > 0 ? { ack: session.expected - 1 } : {};
    for (const sent of session.unacked) {
      if (sent.due > now) continue;
      if (sent.sends >= WAITS_MS.length && session.phase !== "live") {
        if (session.phase === "ringing") this.rings.set(session.id, "signallingLost");
        if (session.isAlive) this.fail(session, "signallingLost", now);
        else session.unacked = [];
        break;
      }
      this.outgoing.push({ ...sent.message, ...heard });
      sent.due = now + (WAITS_MS[sent.sends] ?? 4_000);
      sent.sends += 1;
      session.ackDue = undefined;
    }
    if (session.ackDue !== undefined && session.ackDue <= now) {
      session.ackDue = undefined;
      this.outgoing.push({ session: session.id, ...heard, body: { type: "ack" } });
    }
    if (session.limit === undefined || session.limit > now) return;
    if (session.phase === "ringing") this.cancel(session, "timeout", now);
    else this.fail(session, session.phase === "offered" ? "timedOut" : "iceFailed", now);
  }

  private fail(session: Session, slug: ErrorSlug, now: number): void {
    this.outgoing.push({ session: session.id, body: failure(slug) });
    this.leave(session, "failed", now);
  }

  private leave(session: Session, reason: "replaced" | "failed", now: number): void {
    this.over(session);
    this.say(session, { type: "leave", reason }, now);
    session.lastWord = session.unacked[0];
  }

  private over(session: Session): void {
    session.phase = "over";
    session.limit = undefined;
    session.unacked = [];
    this.closed(session.id);
  }

  private say(session: Session, body: Body, now: number, re?: number): void {
    const seq = session.nextSeq++;
    session.unacked.push({ message: { session: session.id, seq, ...(re !== undefined && { re }), body }, sends: 0, due: now });
  }
}

function sdpOf({ ours }: Session): string {
  return `v=0\r\na=ice-ufrag:node${ours}\r\n`;
}

export function ufragOf(sdp: string): string {
  return /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1] ?? "";
}

function failure(slug: ErrorSlug): Body {
  const { code, name, message } = ERRORS[slug];
  return { type: "error", code, name, message };
}
