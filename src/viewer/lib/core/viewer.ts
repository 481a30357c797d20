/**
 * The viewer's side of the protocol as a whole: reaches the broker, waits for the node, keeps one session alive, and
 * starts another when that one is lost.
 *
 * It is told what happened and when ({@link Viewer.handle}), and asked what to do ({@link Viewer.takeOutputs}) and until
 * when it may be left alone ({@link Viewer.pollTimeout}). No clock, no chance, no I/O: times are milliseconds of any one
 * clock, and random numbers come from the `chance` it is given.
 */

import { Aftermath } from "./aftermath.ts";
import type { End } from "./course.ts";
import { Telling } from "./describe.ts";
import { Doorbell, type Entered } from "./doorbell.ts";
import { failureOf } from "./errors.ts";
import { readIncoming } from "./incoming.ts";
import type { Input, Output, ViewerConfig } from "./io.ts";
import type { Status } from "./message.ts";
import { Linkage } from "./linkage.ts";
import { Outbox } from "./outbox.ts";
import { followPath } from "./path.ts";
import { Permit } from "./permit.ts";
import { Presence } from "./presence.ts";
import { Probe } from "./probe.ts";
import { Pulse } from "./pulse.ts";
import { afterReboot, type Chance, hex, hungUp, type Retry, unpermitted, untried } from "./retry.ts";
import { route } from "./route.ts";
import { Session } from "./session.ts";
import { Sessions } from "./sessions.ts";
import type { LinkProblem } from "./state.ts";
import { earliest } from "./times.ts";
import { outputOf } from "./told.ts";
import { topicsOf } from "./topics.ts";
import { Waking } from "./waking.ts";

export class Viewer {
  private started = false;
  private readonly link: Linkage;
  private readonly presence = new Presence();
  private readonly sessions = new Sessions();
  private retry: Retry = untried();
  private readonly permit: Permit;
  private hasJoined = false;
  private readonly aftermath = new Aftermath();
  private pulse = new Pulse();
  private readonly probe = new Probe();
  private readonly waking = new Waking();
  private readonly out = new Outbox();
  private readonly doorbell: Doorbell;
  private readonly telling = new Telling();

  constructor(
    private readonly config: ViewerConfig,
    private readonly chance: Chance,
  ) {
    this.link = new Linkage(chance);
    this.permit = new Permit(chance);
    this.doorbell = new Doorbell(config, chance, this.out);
  }

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
        this.linkDown(input.problem, input.said, now);
        break;
      case "message":
        this.message(input, now);
        break;
      case "peer":
        if (this.session?.id === input.session) this.session.handlePeer(input.event, now);
        break;
      case "media":
      case "networkChanged":
      case "restart":
        if (this.session !== undefined) followPath(this.session, this.pulse, input, this.presence.online, now);
        break;
      case "token":
      case "noToken":
        if (input.ask < 0) this.doorbell.handle(input, now);
        else if (input.type === "token") this.granted(input, now);
        else this.denied(input.ask, input.said, now);
        break;
      case "wake":
        this.wake(input.lifeMs, now);
        break;
      default:
        if (input.type === "call" && !this.started) this.retry = untried();
        this.doorbell.handle(input, now);
    }
    this.settle(now);
  }

  handleTimeout(now: number): void {
    this.sessions.handleTimeout(now);
    this.doorbell.handleTimeout(now);
    const due = (time: number | undefined): boolean => time !== undefined && time <= now;
    if (due(this.link.farewellAt)) this.disconnect(now);
    if (due(this.link.retryAt)) this.connect(now);
    if (this.link.isOverdue(now)) {
      this.out.push({ type: "disconnect", forGood: false });
      this.linkDown("unreachable", undefined, now);
    }
    if (due(this.waking.limit)) {
      // The broker's connection has died in the sleep and nobody has noticed.
      this.linkDown("lost", undefined, now);
      this.connect(now);
    }
    if (this.probe.takeUnanswered(now) && this.session === undefined) {
      this.probe.later(now);
      this.presence.unanswered();
    }
    if (this.probe.isDue(now)) this.sendProbe(now);
    const unanswered = this.permit.overdue(now);
    if (unanswered !== undefined) this.denied(unanswered, "no token came in time", now);
    if (this.permit.isRenewalDue(now)) this.out.push({ type: "askToken", ask: this.permit.ask("renewal", now) });
    this.settle(now);
  }

  /** When {@link handleTimeout} is to be called, unless something happens before. */
  pollTimeout(): number | undefined {
    return earliest([
      this.sessions.pollTimeout(),
      this.doorbell.pollTimeout(),
      this.link.pollTimeout(),
      this.waking.limit,
      this.probe.pollTimeout(),
      this.permit.pollTimeout(),
      this.mayJoin ? this.retry.at : undefined,
    ]);
  }

  /** What is to be done now, in this order. */
  takeOutputs(): Output[] {
    return this.out.take();
  }

  private get session(): Session | undefined {
    return this.sessions.current;
  }

  private get mayJoin(): boolean {
    const isFree = this.session === undefined && !this.permit.delaysJoin && !this.doorbell.isBusy;
    return this.started && this.link.up && isFree && this.presence.online;
  }

  /** Whether the broker is needed: to watch, or for calls. */
  private get isWanted(): boolean {
    return this.started || this.doorbell.isWanted;
  }

  private start(now: number): void {
    if (this.started) return;
    [this.started, this.retry] = [true, untried()];
    this.aftermath.forget();
    this.link.startAfresh();
    if (this.link.up) this.askForNode(now);
    else this.connect(now);
  }

  private stop(now: number): void {
    this.doorbell.hangUp(now);
    if (!this.started) return;
    this.started = false;
    this.session?.leave("closed", now);
    this.retry = untried();
    this.permit.drop();
  }

  /** Connects when somebody wants the broker, and takes leave of it when nobody does any more. */
  private followWishes(now: number): void {
    if (this.isWanted) {
      this.link.farewellAt = undefined;
      if (!this.link.up && !this.link.isTrying && this.link.problem === undefined) this.connect(now);
    } else {
      this.link.takeLeave(now);
      this.probe.stop();
      this.waking.limit = undefined;
    }
  }

  private connect(now: number): void {
    if (this.link.begin(now)) this.out.push({ type: "connect" });
  }

  private disconnect(now: number): void {
    this.link.closed(now);
    this.sessions.forget();
    this.out.push({ type: "disconnect", forGood: true });
  }

  private linkUp(peer: string, now: number): void {
    const topics = topicsOf(this.config.prefix, this.config.node, peer);
    if (this.out.topics !== undefined && this.out.topics.toNode !== topics.toNode) {
      // Another identity: what the old one began, nobody can go on with.
      this.session?.rebooted();
      this.sessions.forget();
      this.doorbell.lose(now);
    }
    this.out.topics = topics;
    this.link.isUp(now);
    this.waking.limit = undefined;
    this.sessions.setLink(true, now);
    if (this.isWanted && this.session === undefined) this.askForNode(now);
  }

  private linkDown(problem: LinkProblem, said: string | undefined, now: number): void {
    this.link.isDown(problem, said, now);
    this.probe.stop();
    this.waking.limit = undefined;
    this.sessions.setLink(false, now);
    if (!this.isWanted) this.disconnect(now);
  }

  /** Waits for the retained status, then asks. */
  private askForNode(now: number): void {
    this.probe.waitForStatus(now);
    if (this.presence.online) this.joinUnlessForbidden(now);
  }

  private sendProbe(now: number): void {
    this.probe.sent(now);
    this.out.publish({ body: { type: "probe" } }, now);
  }

  private wake(lifeMs: number | undefined, now: number): void {
    if (!this.isWanted || !this.waking.isNew(now)) return;
    this.pulse.wake();
    if (lifeMs !== undefined && this.session !== undefined) this.permit.endsIn(lifeMs, now);
    const { at, cause } = this.retry;
    // Whoever comes back to the page need not press anything for a token that ended meanwhile, if there are others.
    const mayRenew = cause?.kind === "ended" && cause.reason === "expired" && this.config.asksForToken === true;
    if (mayRenew || (at !== undefined && cause?.kind !== "rebooted" && this.link.up)) this.retry.at = now;
    if (!this.link.up) {
      if (this.link.giveUp(now)) this.out.push({ type: "disconnect", forGood: false });
      this.connect(now);
      return;
    }
    this.sendProbe(now);
    this.waking.expectAnswer(now);
  }

  private message(input: Extract<Input, { type: "message" }>, now: number): void {
    // Anything from the broker shows that it is there.
    this.waking.limit = undefined;
    const heard = readIncoming(this.out.topics, input);
    if (heard === undefined) return;
    if ("status" in heard) this.heardStatus(heard.status, now);
    else route(heard, this.sessions, this.doorbell, this.out, now);
    if ("message" in heard && this.started && this.aftermath.isHungUpLate(heard.message)) this.hungUpLate(now);
  }

  private heardStatus(status: Status, now: number): void {
    this.probe.stop();
    const before = this.presence.status;
    const change = this.presence.handle(status);
    if (this.presence.status !== before) this.out.push({ type: "status", status });
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
    this.doorbell.follow(this.link.up, this.presence.online ? this.presence.status?.boot : undefined, now);
    this.doorbell.settle(now);
    const entered = this.doorbell.takeEntered();
    if (entered !== undefined) this.enter(entered, now);
    if (this.mayJoin && this.retry.at !== undefined && this.retry.at <= now) {
      this.retry = { ...this.retry, at: undefined, cause: this.retry.cause?.kind === "rebooted" ? undefined : this.retry.cause };
      if (this.config.asksForToken === true) this.out.push({ type: "askToken", ask: this.permit.ask("join", now) });
      else this.join(this.config.token, now);
    }
    for (let message = this.sessions.pollTransmit(now); message !== undefined; message = this.sessions.pollTransmit(now)) this.out.publish(message, now);
    this.takeSessionOutputs(now);
    this.followWishes(now);
    if (this.link.farewellAt !== undefined && this.sessions.isSettled && this.doorbell.isSettled) this.disconnect(now);
    this.tellState();
    this.doorbell.tellRegistration(this.link.refusal === undefined ? undefined : { reason: this.link.refusal, said: this.link.said });
  }

  private join(token: string | undefined, now: number): void {
    this.pulse = new Pulse();
    this.hasJoined = true;
    this.sessions.current = Session.join({ id: hex(this.chance), nonce: hex(this.chance), wants: this.config.wants, token }, now);
  }

  /** A call has become the session, and is watched like any other; another one gives way to it. */
  private enter({ session, tokenEnds }: Entered, now: number): void {
    this.session?.leave("closed", now);
    this.takeSessionOutputs(now);
    this.permit.drop();
    if (tokenEnds !== undefined) this.permit.endsIn(tokenEnds - now, now);
    this.pulse = new Pulse();
    this.started = this.hasJoined = true;
    this.aftermath.forget();
    this.retry = untried();
    this.sessions.current = session;
  }

  private granted({ ask, token, lifeMs }: Extract<Input, { type: "token" }>, now: number): void {
    const purpose = this.permit.granted(ask, lifeMs, now);
    if (purpose === "renewal" && token !== undefined) this.session?.renew(token, now);
    if (purpose !== "join") return;
    // If broker or node went meanwhile, it is asked for anew when they are back.
    this.retry.at = this.mayJoin ? undefined : now;
    if (this.mayJoin) this.join(token, now);
    else this.permit.drop();
  }

  private denied(ask: number, said: string, now: number): void {
    const purpose = this.permit.denied(ask, now);
    if (purpose === "renewal") {
      this.out.push({ type: "error", slug: "internal", failure: failureOf("internal", `the token was not renewed: ${said}`), session: this.session?.id });
    } else if (purpose === "join") {
      this.retry = unpermitted(this.retry, said, now, this.chance);
    }
  }

  /** The node has hung up a call that we had lost before: what goes on with it ends too. */
  private hungUpLate(now: number): void {
    this.permit.drop();
    this.session?.leave("closed", now);
    [this.started, this.retry] = [false, hungUp()];
  }

  private takeSessionOutputs(now: number): void {
    const session = this.session;
    if (session === undefined) return;
    for (const output of session.takeOutputs()) {
      if (output.type === "ended") this.sessionEnded(session, output.end, now);
      else this.out.push(outputOf(session.id, output, now));
    }
  }

  private sessionEnded(session: Session, end: End, now: number): void {
    this.sessions.retire();
    this.permit.drop();
    if (end.how === "theyLeft" && end.reason === "shutdown") this.presence.farewell();
    if (!this.started) return;
    const { retry, failure } = this.aftermath.of(session, { end, pulse: this.pulse, tries: this.retry.tries }, now, this.chance);
    this.retry = retry;
    if (end.how === "hungUp") this.started = false;
    if (failure !== undefined) this.out.push({ type: "error", ...failure, session: session.id });
  }

  private tellState(): void {
    const state = this.telling.news({
      started: this.started, link: this.link,
      known: this.presence.status !== undefined || this.presence.absent,
      online: this.presence.online,
      phase: this.session?.phase,
      calls: this.doorbell.isBusy,
      asking: this.permit.delaysJoin,
      retry: this.retry,
    });
    if (state !== undefined) this.out.push({ type: "state", state });
  }
}
