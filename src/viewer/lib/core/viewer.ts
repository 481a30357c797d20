/**
 * The viewer's side of the protocol as a whole: reaches the broker, waits for the node, keeps one session alive, and
 * starts another when that one is lost.
 *
 * It is told what happened and when ({@link Viewer.handle}), and asked what to do ({@link Viewer.takeOutputs}) and until
 * when it may be left alone ({@link Viewer.pollTimeout}). No clock, no chance, no I/O: times are milliseconds of any one
 * clock, and random numbers come from the `chance` it is given.
 */

import { ErrorBudget } from "./budget.ts";
import { describe } from "./describe.ts";
import { byteLength, Malformed, type Message, readMessage, readStatus, writeMessage } from "./envelope.ts";
import type { ErrorSlug } from "./errors.ts";
import type { Input, Output, ViewerConfig } from "./io.ts";
import type { Status } from "./message.ts";
import { Presence } from "./presence.ts";
import { Pulse } from "./pulse.ts";
import { afterReboot, backOffMs, type Chance, hex, type Retry, retryAfter, untried } from "./retry.ts";
import { earliest, failureOf, Session } from "./session.ts";
import type { LinkProblem } from "./state.ts";
import { type Topics, topicsOf } from "./topics.ts";

/** How long a retained status may take after the subscription before the node is asked. */
const STATUS_WAIT_MS = 1_000;
/** A node that does not answer a probe for so long is offline. */
const PROBE_LIMIT_MS = 5_000;
/** An offline node is asked again this often, for brokers that keep no status. */
const PROBE_AGAIN_MS = 30_000;
/** After waking up, an answer takes no longer than this, or the connection to the broker is dead. */
const WAKE_LIMIT_MS = 3_000;
/** Wake-ups nearer to each other are one: browsers report several events for the same thing. */
const WAKE_AGAIN_MS = 1_000;
/** A session that lived so long was no failure, and the next one begins at once. */
const GOOD_AFTER_MS = 10_000;
/** Replaced twice in such a time, it gives way: somebody else goes by the same name. */
const REPLACED_AGAIN_MS = 60_000;
/** Ended sessions that still acknowledge what is repeated. */
const MAX_ENDED = 8;
/** How long the last word may take before the connection to the broker is closed. */
const FAREWELL_LIMIT_MS = 1_000;

export class Viewer {
  private started = false;
  private topics: Topics | undefined;
  private readonly link = { up: false, wasUp: false, tries: 0, problem: undefined as LinkProblem | undefined, retryAt: undefined as number | undefined };
  private readonly presence = new Presence();
  private session: Session | undefined;
  private ended: Session[] = [];
  private retry: Retry = untried();
  private hasJoined = false;
  private replacedAt: number | undefined;
  private readonly errors = new ErrorBudget();
  private pulse = new Pulse();
  private probeAt: number | undefined;
  private probeLimit: number | undefined;
  private wakeLimit: number | undefined;
  private wokenAt: number | undefined;
  private farewellAt: number | undefined;
  private outputs: Output[] = [];
  private told = "";

  constructor(
    private readonly config: ViewerConfig,
    private readonly chance: Chance,
  ) {}

  /** The node as its latest status has it. */
  get status(): Status | undefined {
    return this.presence.status;
  }

  /** The session there is, or is about to be. */
  get sessionId(): string | undefined {
    return this.session?.id;
  }

  handle(input: Input, now: number): void {
    switch (input.type) {
      case "start":
        this.start(now);
        break;
      case "stop":
        this.stop(now);
        break;
      case "linkUp":
        this.linkUp(input.peer, now);
        break;
      case "linkDown":
        this.linkDown(input.problem, now);
        break;
      case "message":
        this.message(input, now);
        break;
      case "peer":
        if (this.session?.id === input.session) this.session.handlePeer(input.event, now);
        break;
      case "media":
        if (this.session?.id === input.session && this.session.phase === "connected" && this.pulse.isDead(input.bytes)) {
          this.session.fail("iceFailed", "no media arrives", now);
        }
        break;
      case "wake":
        this.wake(now);
        break;
    }
    this.settle(now);
  }

  handleTimeout(now: number): void {
    for (const each of this.sessions()) each.handleTimeout(now);
    const due = (time: number | undefined): boolean => time !== undefined && time <= now;
    if (due(this.farewellAt)) this.disconnect();
    if (due(this.link.retryAt)) this.connect();
    if (due(this.wakeLimit)) {
      // The broker's connection has died in the sleep and nobody has noticed.
      this.linkDown("lost", now);
      this.connect();
    }
    if (due(this.probeLimit)) {
      this.probeLimit = undefined;
      if (this.session === undefined) this.probeAt = now + PROBE_AGAIN_MS;
      if (this.session === undefined) this.presence.unanswered();
    }
    if (due(this.probeAt)) this.probe(now);
    this.settle(now);
  }

  /** When {@link handleTimeout} is to be called, unless something happens before. */
  pollTimeout(): number | undefined {
    return earliest([
      ...this.sessions().map((each) => each.pollTimeout()),
      this.farewellAt,
      this.link.retryAt,
      this.wakeLimit,
      this.probeLimit,
      this.probeAt,
      this.mayJoin ? this.retry.at : undefined,
    ]);
  }

  /** What is to be done now, in this order. */
  takeOutputs(): Output[] {
    return this.outputs.splice(0);
  }

  private get mayJoin(): boolean {
    return this.started && this.link.up && this.session === undefined && this.presence.online;
  }

  private start(now: number): void {
    if (this.started) return;
    this.started = true;
    this.farewellAt = undefined;
    this.retry = untried();
    this.link.tries = 0;
    if (this.link.up) this.askForNode(now);
    else this.connect();
  }

  private stop(now: number): void {
    if (!this.started) return;
    this.started = false;
    this.session?.leave("closed", now);
    this.retry = untried();
    this.probeAt = this.probeLimit = this.wakeLimit = undefined;
    this.farewellAt = this.link.up ? now + FAREWELL_LIMIT_MS : now;
  }

  private connect(): void {
    this.link.retryAt = undefined;
    this.outputs.push({ type: "connect" });
  }

  private disconnect(): void {
    this.farewellAt = this.link.retryAt = undefined;
    this.link.up = this.link.wasUp = false;
    this.link.problem = undefined;
    this.ended = [];
    this.outputs.push({ type: "disconnect" });
  }

  private linkUp(peer: string, now: number): void {
    const topics = topicsOf(this.config.prefix, this.config.node, peer);
    if (this.topics !== undefined && this.topics.toNode !== topics.toNode) {
      // Another identity: what the old one began, nobody can go on with.
      this.session?.rebooted();
      this.ended = [];
    }
    this.topics = topics;
    Object.assign(this.link, { up: true, wasUp: true, tries: 0, problem: undefined, retryAt: undefined });
    this.wakeLimit = undefined;
    for (const each of this.sessions()) each.setLink(true, now);
    if (this.started && this.session === undefined) this.askForNode(now);
  }

  private linkDown(problem: LinkProblem, now: number): void {
    this.link.up = false;
    this.link.problem = problem;
    this.probeAt = this.probeLimit = this.wakeLimit = undefined;
    for (const each of this.sessions()) each.setLink(false, now);
    if (!this.started) {
      this.disconnect();
      return;
    }
    this.link.retryAt = now + backOffMs(this.link.tries++, this.chance);
  }

  /** Waits for the retained status, then asks. */
  private askForNode(now: number): void {
    this.probeAt = now + STATUS_WAIT_MS;
    if (this.presence.online) this.joinUnlessForbidden(now);
  }

  private probe(now: number): void {
    this.probeAt = undefined;
    if (!this.link.up) return;
    this.publish({ body: { type: "probe" } }, now);
    this.probeLimit = now + PROBE_LIMIT_MS;
  }

  private wake(now: number): void {
    if (!this.started || (this.wokenAt !== undefined && now - this.wokenAt < WAKE_AGAIN_MS)) return;
    this.wokenAt = now;
    this.pulse.wake();
    if (!this.link.up) {
      this.connect();
      return;
    }
    this.probe(now);
    this.wakeLimit = now + WAKE_LIMIT_MS;
    if (this.retry.at !== undefined && this.retry.cause?.kind !== "rebooted") this.retry.at = now;
  }

  private message(input: Extract<Input, { type: "message" }>, now: number): void {
    // Anything from the broker shows that it is there.
    this.wakeLimit = undefined;
    if (input.topic === this.topics?.status) {
      // An empty retained message is one that has been cleared away.
      if (input.payload === "") return;
      try {
        this.heardStatus(readStatus(input.payload), now);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
      }
    } else if (input.topic === this.topics?.toPeer && !input.retain) {
      this.fromNode(input.payload, now);
    }
  }

  private fromNode(payload: string, now: number): void {
    let message: Message;
    try {
      message = readMessage(payload);
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      const target = this.sessions().find((each) => each.id === error.session);
      if (target !== undefined) target.handleMalformed(error, now);
      else if (!error.isError) this.replyError(error.slug, error.message, error.session, error.seq, now);
      return;
    }
    if (message.body.type === "status") {
      this.heardStatus(message.body, now);
      return;
    }
    const target = this.sessions().find((each) => each.id === message.session);
    if (target !== undefined) {
      target.handleMessage(message, byteLength(payload), now);
    } else if (message.body.type === "error") {
      this.outputs.push({ type: "error", slug: undefined, failure: message.body, session: message.session });
    } else if (message.body.type === "call") {
      this.replyError("unsupported", "calls are not taken here", message.session, message.seq, now);
    } else if (message.seq !== undefined && message.session !== undefined) {
      const { session, seq } = message;
      const isFinal = message.body.type === "leave" || message.body.type === "cancel";
      if (isFinal) this.publish({ session, ack: seq, body: { type: "ack" } }, now);
      else this.replyError("unknownSession", undefined, session, seq, now);
    }
  }

  private heardStatus(status: Status, now: number): void {
    this.probeAt = this.probeLimit = undefined;
    const before = this.presence.status;
    const change = this.presence.handle(status);
    if (this.presence.status !== before) this.outputs.push({ type: "status", status });
    // The node's own introduction may have been quicker than its status.
    const counts = this.presence.status === status && status.state === "online";
    const isNews = this.session?.node === undefined ? change === "rebooted" : counts && this.session.node.boot !== status.boot;
    if (isNews) {
      // A join that the old run has not answered reaches the new one by its repetition.
      if (this.session?.phase === "joining") return;
      if (this.session !== undefined) this.session.rebooted();
      else if (this.retry.cause?.kind === "ended" && this.retry.at === undefined) return;
      // Whoever never had a session is not part of the crowd that comes back.
      else this.retry = this.hasJoined ? afterReboot(now, this.chance) : untried(now);
    } else if (change === "offline") {
      // What has not come about yet will not; media that flow tell themselves when they end.
      if (this.session?.connectedAt === undefined) this.session?.leave("failed", now);
    } else if (change === "online" && this.retry.at !== undefined) {
      this.retry.at = now;
    } else if (this.mayJoin) {
      this.joinUnlessForbidden(now);
    }
  }

  /** Joins now, unless another time is set or the last session's end forbids it. */
  private joinUnlessForbidden(now: number): void {
    if (this.retry.cause?.kind !== "ended") this.retry.at ??= now;
  }

  /** Joins when it is time, and collects what the sessions want done. */
  private settle(now: number): void {
    this.takeSessionOutputs(now);
    if (this.mayJoin && this.retry.at !== undefined && this.retry.at <= now) this.join(now);
    for (const each of this.sessions()) {
      for (let message = each.pollTransmit(now); message !== undefined; message = each.pollTransmit(now)) this.publish(message, now);
    }
    this.takeSessionOutputs(now);
    if (this.farewellAt !== undefined && this.ended.every((each) => each.isOver())) this.disconnect();
    this.tellState();
  }

  private join(now: number): void {
    const { wants, token } = this.config;
    this.retry = { ...this.retry, at: undefined, cause: this.retry.cause?.kind === "rebooted" ? undefined : this.retry.cause };
    this.pulse = new Pulse();
    this.hasJoined = true;
    this.session = new Session({ id: hex(this.chance), nonce: hex(this.chance), wants, token }, now);
  }

  private takeSessionOutputs(now: number): void {
    const session = this.session;
    if (session === undefined) return;
    for (const output of session.takeOutputs()) {
      switch (output.type) {
        case "peer":
          this.outputs.push({ ...output, session: session.id });
          break;
        case "step": {
          const { step, direction, detail } = output;
          const more = { ...(direction && { direction }), ...(detail !== undefined && { detail }) };
          this.outputs.push({ type: "event", event: { at: now, name: step, session: session.id, ...more } });
          break;
        }
        case "notice":
          this.outputs.push({ type: "error", slug: undefined, failure: output.failure, session: session.id });
          break;
        case "ended":
          this.sessionEnded(session, output.end, now);
          break;
      }
    }
  }

  private sessionEnded(session: Session, end: Parameters<typeof retryAfter>[0], now: number): void {
    this.session = undefined;
    this.ended = [...this.ended, session].slice(-MAX_ENDED);
    if (end.how === "theyLeft" && end.reason === "shutdown") this.presence.farewell();
    if (!this.started) return;
    const wasGood = session.connectedAt !== undefined && this.pulse.felt && now - session.connectedAt >= GOOD_AFTER_MS;
    const wasReplaced = this.replacedAt !== undefined && now - this.replacedAt < REPLACED_AGAIN_MS;
    if (end.how === "theyLeft" && end.reason === "replaced") this.replacedAt = now;
    const decided = retryAfter(end, { tries: wasGood ? 0 : this.retry.tries, wasGood, wasReplaced, now }, this.chance);
    this.retry = decided.retry;
    if (decided.failure !== undefined) this.outputs.push({ type: "error", ...decided.failure, session: session.id });
  }

  private sessions(): Session[] {
    return this.session === undefined ? this.ended : [this.session, ...this.ended];
  }

  private replyError(slug: ErrorSlug, detail: string | undefined, session: string | undefined, re: number | undefined, now: number): void {
    this.publish({ ...(session === undefined ? {} : { session }), ...(re === undefined ? {} : { re }), body: failureOf(slug, detail) }, now);
  }

  private publish(message: Message, now: number): void {
    if (message.body.type === "error" && !this.errors.take(now)) return;
    if (this.topics !== undefined) this.outputs.push({ type: "publish", topic: this.topics.toNode, payload: writeMessage(message) });
  }

  private tellState(): void {
    const state = describe({
      started: this.started,
      link: this.link,
      known: this.presence.status !== undefined || this.presence.absent,
      online: this.presence.online,
      phase: this.session?.phase,
      retry: this.retry,
    });
    const told = JSON.stringify(state);
    if (told === this.told) return;
    this.told = told;
    this.outputs.push({ type: "state", state });
  }
}
