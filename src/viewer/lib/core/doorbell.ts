/**
 * Calls in both directions, and being registered for them: one call at a time, until the node has let us in. What a call
 * then has become, the {@link Viewer} takes over.
 */

import { Call, type CallEnd } from "./call.ts";
import type { Malformed, Message } from "./envelope.ts";
import { failureOf } from "./errors.ts";
import type { Input, ViewerConfig } from "./io.ts";
import { isLastWord } from "./message.ts";
import type { Outbox } from "./outbox.ts";
import { Registration } from "./registration.ts";
import { type Chance, hex } from "./retry.ts";
import type { Session } from "./session.ts";
import { Snapshots } from "./snapshots.ts";
import type { Reason } from "./state.ts";
import { earliest } from "./times.ts";
import { outputOf } from "./told.ts";

/** How long we ring the node, unless told otherwise. */
const RING_MS = 45_000;
/** Whoever makes a token has so long. */
const TOKEN_LIMIT_MS = 30_000;
/** Ended calls, and calls whose end has come before them, of which a late message must not ring again. */
const MAX_ENDED = 32;

/** What a token is wanted for. */
type Purpose = "register" | "call" | "accept";

/** What people want of it, and the tokens that it has asked for. */
type CallInput = Extract<Input, { type: "register" | "unregister" | "call" | "accept" | "decline" | "hangUp" | "snapshot" | "token" | "noToken" }>;

/** A call, as the outside is told of it. */
export interface CallState {
  /** The session that it is, or will be. */
  readonly session: string;
  /** Who calls: the node (`incoming`) or we (`outgoing`). */
  readonly direction: "incoming" | "outgoing";
  /**
   * `calling` until the node has it, `ringing` until it is answered, `accepted` until the node lets us in. `joined` is a
   * session like any other. `ended` is what never became one.
   */
  readonly state: "calling" | "ringing" | "accepted" | "joined" | "ended";
  /** With `ended`: why. */
  readonly end?: CallEnd;
  /** What the node said itself. */
  readonly said?: string;
}

/** What the node has let us in to. */
export interface Entered {
  readonly session: Session;
  /** When the token that it began with ends. */
  readonly tokenEnds: number | undefined;
}

export class Doorbell {
  readonly registration: Registration;
  /** Who is there is seen before anything is accepted. */
  private readonly peephole: Snapshots;
  private call: Call | undefined;
  /** A call of ours that cannot go out yet. */
  private wish: { readonly id: string; readonly ringMs: number; readonly limit: number } | undefined;
  private ended: Call[] = [];
  private over: string[] = [];
  private entered: Entered | undefined;
  private tokenEnds: number | undefined;
  private readonly asked = new Map<Purpose, { readonly ask: number; readonly limit: number }>();
  private linkUp = false;
  private boot: string | undefined;
  private lastBoot: string | undefined;
  private told: Partial<Record<"call" | "registration", string>> = {};

  constructor(
    private readonly config: ViewerConfig,
    private readonly chance: Chance,
    private readonly out: Outbox,
  ) {
    this.registration = new Registration(chance, config.asksForToken === true);
    this.peephole = new Snapshots(config, chance, out);
  }

  /** Whether the broker is needed for it. */
  get isWanted(): boolean {
    return this.registration.name !== undefined || this.wish !== undefined || this.call !== undefined || !this.peephole.isSettled;
  }

  /** Whether a session of another kind would get into the way. */
  get isBusy(): boolean {
    return this.wish !== undefined || this.call?.isOurs === true;
  }

  /** Whether nothing is left to be said. */
  get isSettled(): boolean {
    return !this.isWanted && this.registration.isSettled && this.ended.every((each) => each.isOver());
  }

  handle(input: CallInput, now: number): void {
    switch (input.type) {
      case "register":
        this.registration.want(input.name, now);
        break;
      case "unregister":
        this.asked.delete("register");
        this.registration.unwant(now);
        this.call?.reject("declined", now);
        break;
      case "call":
        this.ring(input.ringMs ?? RING_MS, now);
        break;
      case "accept":
        if (this.call?.id === input.session && this.call.phase === "ringing" && !this.asked.has("accept")) this.withToken("accept", now);
        break;
      case "decline":
        if (this.call?.id === input.session) this.call.reject(input.reason, now);
        break;
      case "hangUp":
        this.hangUp(now);
        break;
      case "snapshot":
        this.peephole.want(input, now);
        break;
      case "token":
        if (!this.peephole.permitted(input, now)) this.granted(input, now);
        break;
      case "noToken":
        if (!this.peephole.permitted(input, now)) this.denied(input.ask, input.said, now);
        break;
    }
  }

  /** Gives up a call of ours, or one that we have accepted. */
  hangUp(now: number): void {
    this.asked.delete("call");
    this.wishEnded("cancelled");
    this.call?.hangUp(now);
  }

  /** We are somebody else to the broker: what went before, nobody can go on with. */
  lose(now: number): void {
    this.call?.gone();
    this.registration.rebooted(now);
  }

  /** Follows the connection to the broker, and the run of the node's program, if that is there. */
  follow(linkUp: boolean, boot: string | undefined, now: number): void {
    if (linkUp !== this.linkUp) {
      for (const each of this.calls()) each.setLink(linkUp, now);
    }
    this.linkUp = linkUp;
    this.registration.follow(linkUp && boot !== undefined, now);
    this.peephole.follow(linkUp && boot !== undefined);
    if (this.boot !== undefined && boot !== this.boot) this.call?.gone();
    this.boot = boot;
    if (boot === undefined) return;
    if (this.lastBoot !== undefined && boot !== this.lastBoot) this.registration.rebooted(now);
    this.lastBoot = boot;
  }

  /** Takes a message in, if it is for here; `isInCall` says whether a session is going on that was a call. */
  takes(message: Message, bytes: number, isInCall: boolean, now: number): boolean {
    const { session, body, seq } = message;
    if (session === undefined) return this.registration.answered(message, now) || this.peephole.answered(message, now);
    const known = this.find(session);
    if (known !== undefined) {
      known.handleMessage(message, bytes, now);
    } else if (this.over.includes(session)) {
      if (seq !== undefined) this.out.publish({ session, ack: seq, body: { type: "ack" } }, now);
    } else if (body.type === "call") {
      this.called(session, message, body.from, bytes, isInCall, now);
    } else {
      // It has overtaken its call, which must not ring when it comes.
      if (isLastWord(body)) this.over = [...this.over, session].slice(-MAX_ENDED);
      return false;
    }
    return true;
  }

  takesMalformed(malformed: Malformed, now: number): boolean {
    const known = malformed.session === undefined ? undefined : this.find(malformed.session);
    known?.handleMalformed(malformed, now);
    return known !== undefined;
  }

  /** What the node has let us in to, once. */
  takeEntered(): Entered | undefined {
    const { entered } = this;
    this.entered = undefined;
    return entered;
  }

  handleTimeout(now: number): void {
    for (const each of this.calls()) each.handleTimeout(now);
    this.registration.handleTimeout(now);
    this.peephole.handleTimeout(now);
    if (this.wish !== undefined && this.wish.limit <= now) this.wishEnded("timeout");
    for (const { ask, limit } of [...this.asked.values()]) if (limit <= now) this.denied(ask, "no token came in time", now);
  }

  pollTimeout(): number | undefined {
    const asked = [...this.asked.values()].map(({ limit }) => limit);
    return earliest([...this.calls().map((each) => each.pollTimeout()), this.registration.pollTimeout(), this.peephole.pollTimeout(), this.wish?.limit, ...asked]);
  }

  /** Does what is due, and says what there is to say. */
  settle(now: number): void {
    if (this.registration.takeDue(now)) this.withToken("register", now);
    if (this.wish !== undefined && this.linkUp && !this.asked.has("call")) this.withToken("call", now);
    this.put(now);
    for (const each of this.calls()) {
      for (let message = each.pollTransmit(now); message !== undefined; message = each.pollTransmit(now)) this.out.publish(message, now);
    }
    this.out.publish(this.registration.poll(now), now);
    this.peephole.settle(now);
  }

  /** Tells what has become of the registration; `problem` is what keeps the broker away, if that lasts. */
  tellRegistration(problem: { reason: Reason; said?: string | undefined } | undefined): void {
    const { name, isOn, refusal } = this.registration;
    const why = refusal ?? problem;
    const state = name === undefined ? "off" : isOn ? "on" : why === undefined ? "pending" : "refused";
    const more = state === "refused" && why !== undefined ? { reason: why.reason, ...(why.said !== undefined && { said: why.said }) } : {};
    const registration = { state, ...(name !== undefined && { name }), ...more } as const;
    const told = JSON.stringify(registration);
    if (told === (this.told.registration ?? '{"state":"off"}')) return;
    this.told.registration = told;
    this.out.push({ type: "registration", registration });
  }

  /** Calls the node, as soon as it can be reached; a second call while there is one is none. */
  private ring(ringMs: number, now: number): void {
    if (this.isBusy) return;
    // Whoever calls while it rings answers it: the node's call yields.
    this.call?.reject("busy", now, "cancelled");
    this.put(now);
    const id = hex(this.chance);
    this.wish = { id, ringMs, limit: now + ringMs };
    this.tell({ session: id, direction: "outgoing", state: "calling" });
  }

  private calls(): Call[] {
    return this.call === undefined ? this.ended : [this.call, ...this.ended];
  }

  private find(session: string): Call | undefined {
    return this.calls().find((each) => each.id === session);
  }

  private called(id: string, message: Message, from: string, bytes: number, isInCall: boolean, now: number): void {
    if (from !== this.config.node) {
      this.out.publish({ session: id, re: 0, body: failureOf("badMessage", "from is not the node's id") }, now);
      return;
    }
    const call = Call.incoming(id, message, bytes, now);
    const isBusy = isInCall || this.isBusy;
    // One that rings already is over for the node, which has one ring at a time.
    if (!isBusy) this.call?.reject("busy", now, "cancelled");
    this.put(now);
    if (this.registration.name === undefined) call.reject("unsupported", now);
    else if (isBusy) call.reject("busy", now);
    if (call.phase === "over") {
      this.tellSteps(call, now);
      this.retire(call);
      return;
    }
    call.ring(now);
    this.call = call;
  }

  private withToken(purpose: Purpose, now: number): void {
    if (this.config.asksForToken !== true) {
      this.goOn(purpose, this.config.token, undefined, now);
      return;
    }
    this.asked.set(purpose, { ask: this.out.askToken(), limit: now + TOKEN_LIMIT_MS });
  }

  private goOn(purpose: Purpose, token: string | undefined, tokenEnds: number | undefined, now: number): void {
    const asking = { wants: this.config.wants, token, nonce: hex(this.chance) };
    if (purpose !== "register") this.tokenEnds = tokenEnds;
    if (purpose === "register") this.registration.register(token, now);
    else if (purpose === "accept") this.call?.accept(asking, now);
    else if (this.wish !== undefined && this.out.topics !== undefined) {
      this.call = Call.outgoing(this.wish.id, this.out.topics.peer, asking, this.wish.ringMs, now);
      this.wish = undefined;
    }
  }

  private granted({ ask, token, lifeMs }: Extract<Input, { type: "token" }>, now: number): void {
    const purpose = this.answered(ask);
    if (purpose !== undefined) this.goOn(purpose, token, lifeMs === undefined ? undefined : now + lifeMs, now);
  }

  private denied(ask: number, said: string, now: number): void {
    const purpose = this.answered(ask);
    if (purpose === "register") this.registration.unpermitted(said, now);
    else if (purpose === "accept") this.call?.reject("declined", now, "noToken", said);
    else if (purpose === "call") this.wishEnded("noToken", said);
  }

  private answered(ask: number): Purpose | undefined {
    const found = [...this.asked].find(([, asked]) => asked.ask === ask)?.[0];
    if (found !== undefined) this.asked.delete(found);
    return found;
  }

  private wishEnded(end: CallEnd, said?: string): void {
    const { wish } = this;
    if (wish === undefined) return;
    this.wish = undefined;
    this.tell({ session: wish.id, direction: "outgoing", state: "ended", end, ...(said !== undefined && { said }) });
  }

  /** Tells of the call, and puts it where it belongs when it is over, or has become a session. */
  private put(now: number): void {
    const { call } = this;
    if (call === undefined) return;
    this.tellSteps(call, now);
    const { id: session, direction, phase, end } = call;
    if (call.session !== undefined) {
      this.entered = { session: call.session, tokenEnds: this.tokenEnds };
      this.call = undefined;
      this.asked.delete("accept");
      this.tell({ session, direction, state: "joined" });
    } else if (phase === "over") {
      this.call = undefined;
      this.asked.delete("accept");
      this.retire(call);
      this.tell({ session, direction, state: "ended", ...(end && { end: end.reason, ...(end.said !== undefined && { said: end.said }) }) });
    } else {
      this.tell({ session, direction, state: phase });
    }
  }

  private retire(call: Call): void {
    const left = [...this.ended, call];
    this.ended = left.slice(-MAX_ENDED);
    this.over = [...this.over, ...left.slice(0, -MAX_ENDED).map(({ id }) => id)].slice(-MAX_ENDED);
  }

  private tellSteps(call: Call, now: number): void {
    for (const step of call.takeSteps()) this.out.push(outputOf(call.id, step, now));
  }

  private tell(call: CallState): void {
    const told = JSON.stringify(call);
    if (told === this.told.call) return;
    this.told.call = told;
    this.out.push({ type: "call", call });
  }
}
