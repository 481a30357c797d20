/** The viewer's core against a scripted node over a broker that loses, repeats, reorders and delays, from a seed. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { readMessage, writeMessage } from "../lib/core/envelope.ts";
import { ERRORS } from "../lib/core/errors.ts";
import type { Output } from "../lib/core/io.ts";
import type { PeerEvent } from "../lib/core/session.ts";
import type { ViewerState } from "../lib/core/state.ts";
import { Viewer } from "../lib/core/viewer.ts";
import { BOOT, PEER } from "./node.ts";
import { ScriptedNode, ufragOf } from "./scripted.ts";

const BASE = "camera-node/v1/porch";
const SEEDS = 200;

/** How likely a message is lost, comes twice, is overtaken by those right after it, or is seconds late: each for itself. */
interface Weather {
  readonly lost: number;
  readonly twice: number;
  readonly overtaken: number;
  readonly late: number;
}

const all = (probability: number): Weather => ({ lost: probability, twice: probability, overtaken: probability, late: probability });

interface Connection {
  readonly session: string;
  described: boolean;
  generation: number;
  theirs: string | undefined;
  offered: boolean;
  /** What the viewer has been told. */
  live: boolean;
}

class World {
  now = 0;
  readonly node: ScriptedNode;
  readonly viewer: Viewer;
  state: ViewerState | undefined;
  joins = new Set<string>();
  /** What either side has complained of, by the other's messages. */
  readonly complaints: string[] = [];
  private readonly queue: { at: number; order: number; what: () => void }[] = [];
  private order = 0;
  /** The viewer's connection, while there is one: its session, and whose credentials it knows. */
  private connection: Connection | undefined;
  /** Since when the path is broken; absent while it is whole. */
  private brokenSince: number | undefined = 0;
  /** Paths that carry nothing, whatever is tried. */
  isCut = false;
  restarts = 0;

  constructor(
    private seed: number,
    private readonly weather: Weather,
  ) {
    this.viewer = new Viewer({ prefix: "camera-node/v1", node: "porch", wants: { video: true } }, () => this.random());
    const eitherWay = (then: (session: string) => void) => (session: string) => {
      // The goodbye of DTLS is a single datagram, and may be lost like any other.
      if (this.random() < 0.5) this.in(20, () => {
        then(session);
      });
    };
    this.node = new ScriptedNode(
      () => {
        this.look();
      },
      eitherWay((session) => {
        this.peerEvent(session, { type: "closed" });
      }),
    );
    this.goodbye = eitherWay((session) => {
      this.node.closedByViewer(session);
    });
    this.viewer.handle({ type: "start" }, 0);
    this.viewer.handle({ type: "linkUp", peer: PEER }, 0);
    // A retained status comes from the broker itself.
    const status = writeMessage({ body: { type: "status", versions: [1], state: "online", boot: BOOT, conn: 1, cameras: [], access: "open" } });
    this.in(5, () => {
      this.toViewer(`${BASE}/status`, status, true);
    });
  }

  private readonly goodbye: (session: string) => void;

  /** Runs until then; every step either takes something off the queue, or fires a timer that is due. */
  runUntil(end: number): void {
    for (let still = 0; ; still += 1) {
      assert.ok(still < 100_000, `time stands still at ${this.now}`);
      this.settle();
      this.queue.sort((one, other) => one.at - other.at || one.order - other.order);
      const next = Math.min(this.queue[0]?.at ?? Infinity, this.viewer.pollTimeout() ?? Infinity, this.node.pollTimeout() ?? Infinity);
      if (next > end) break;
      if (next > this.now) still = 0;
      this.now = Math.max(this.now, next);
      if (this.queue[0] !== undefined && this.queue[0].at <= this.now) this.queue.shift()?.what();
      else this.viewer.handleTimeout(this.now);
    }
    this.now = end;
  }

  /** Performs what both sides want done. */
  private settle(): void {
    for (const output of this.viewer.takeOutputs()) this.perform(output);
    for (const payload of this.node.take(this.now)) {
      this.noteComplaint("node", payload);
      this.broker(() => {
        this.toViewer(`${BASE}/out/${PEER}`, payload, false);
      });
    }
  }

  protected perform(output: Output): void {
    if (output.type === "state") this.state = output.state;
    if (output.type === "publish") {
      this.noteComplaint("viewer", output.payload);
      this.broker(() => {
        this.node.handle(output.payload, this.now);
      });
    }
    if (output.type === "event" && output.event.name === "join") this.joins.add(output.event.session);
    if (output.type !== "peer") return;
    const { session, command } = output;
    if (command.do === "open") {
      assert.equal(this.connection, undefined, "one connection at a time");
      this.connection = { session, described: false, generation: 0, theirs: undefined, offered: false, live: false };
    } else if (command.do === "close") {
      if (this.connection?.session === session) this.goodbye(session);
      if (this.connection?.session === session) this.connection = undefined;
    } else if (command.do === "answer") {
      const { connection } = this;
      assert.ok(connection?.session === session && !connection.offered, "nothing of ours is under way");
      const theirs = ufragOf(command.sdp);
      if (connection.theirs !== theirs) connection.generation += 1;
      connection.theirs = theirs;
      this.describes(connection, "answered");
    } else if (command.do === "restart") {
      const { connection } = this;
      assert.ok(connection?.session === session, "a connection to restart");
      connection.generation += 1;
      connection.offered = true;
      this.restarts += 1;
      this.describes(connection, "offered");
    } else if (command.do === "accept") {
      assert.ok(this.connection?.session === session && this.connection.offered, "an answer to an offer");
      this.connection.offered = false;
      this.connection.theirs = ufragOf(command.sdp);
      this.look();
    } else if (command.do === "addCandidates") {
      assert.ok(this.connection?.session === session, "candidates without a connection");
    }
  }

  private describes(connection: Connection, type: "answered" | "offered"): void {
    const { session, generation } = connection;
    this.in(2 + this.random() * 30, () => {
      connection.described = true;
      this.peerEvent(session, { type, sdp: `v=0\r\na=ice-ufrag:viewer${generation}\r\n` });
      this.look();
    });
    const candidates = [{ candidate: "c", usernameFragment: `viewer${generation}` }];
    this.in(50, () => {
      this.peerEvent(session, { type: "candidates", candidates, complete: true });
    });
    this.look();
  }

  get isWhole(): boolean {
    const { connection } = this;
    if (connection?.described !== true || this.isCut) return false;
    return this.node.isMet(connection.session, { ours: `viewer${connection.generation}`, theirs: connection.theirs });
  }

  /** A path that has become whole is noticed soon, one that is broken after three seconds. */
  look(): void {
    const { connection } = this;
    if (connection === undefined) return;
    const { session } = connection;
    if (this.isWhole) {
      this.brokenSince = undefined;
      this.in(30, () => {
        if (!this.isWhole || connection.live) return;
        connection.live = true;
        this.node.connected(session);
        this.peerEvent(session, { type: "connected" });
      });
    } else {
      const since = (this.brokenSince ??= this.now);
      this.in(3_000, () => {
        if (this.brokenSince !== since || !connection.live) return;
        connection.live = false;
        this.peerEvent(session, { type: "silent" });
      });
    }
  }

  /** This machine is on another network, and the path of before is gone. */
  moveViewer(): void {
    const { connection } = this;
    if (connection?.live !== true) return;
    connection.theirs = undefined;
    this.look();
    this.viewer.handle({ type: "networkChanged" }, this.now);
  }

  moveNode(): void {
    if (this.connection !== undefined) this.node.restart(this.connection.session, this.now);
  }

  private peerEvent(session: string, event: PeerEvent): void {
    if (this.connection?.session === session) this.viewer.handle({ type: "peer", session, event }, this.now);
  }

  private toViewer(topic: string, payload: string, retain: boolean): void {
    this.viewer.handle({ type: "message", topic, payload, retain }, this.now);
  }

  private noteComplaint(who: string, payload: string): void {
    const { body } = readMessage(payload);
    if (body.type === "error") this.complaints.push(`${who}: ${body.message}`);
  }

  /** The way over the broker. */
  private broker(deliver: () => void): void {
    const { lost, twice, overtaken, late } = this.weather;
    if (this.random() < lost) return;
    for (let copies = this.random() < twice ? 2 : 1; copies > 0; copies -= 1) {
      const more = (this.random() < overtaken ? 50 + this.random() * 500 : 0) + (this.random() < late ? 1_000 + this.random() * 4_000 : 0);
      this.in(5 + this.random() * 45 + more, deliver);
    }
  }

  protected in(ms: number, what: () => void): void {
    this.order += 1;
    this.queue.push({ at: this.now + ms, order: this.order, what });
  }

  /** The same sequence for a seed in every run (Marsaglia's xorshift, 32 bits). */
  protected random(): number {
    let x = (this.seed = (this.seed * 2_654_435_761 + 1) >>> 0 || 1);
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.seed = x >>> 0;
    return this.seed / 2 ** 32;
  }
}

/** Runs every seed for so long; gives the worlds. */
function worlds(weather: Weather, seconds: number): World[] {
  return Array.from({ length: SEEDS }, (_, index) => {
    const world = new World(index + 1, weather);
    world.runUntil(seconds * 1_000);
    return world;
  });
}

const isLive = ({ state }: World): boolean => state?.state === "live";

/** Both sides are of one mind, and stay so; and when the viewer stops, nothing is left on either side. */
function endsWell(world: World, seed: number): void {
  const session = world.viewer.sessionId;
  assert.deepEqual(world.node.alive.map(({ id, phase }) => [id, phase]), [[session, "live"]], `seed ${seed}`);
  world.runUntil(world.now + 60_000);
  assert.ok(isLive(world) && world.viewer.sessionId === session, `seed ${seed} did not stay`);
  world.viewer.handle({ type: "stop" }, world.now);
  world.runUntil(world.now + 60_000);
  assert.deepEqual([world.state?.state, world.viewer.pollTimeout()], ["idle", undefined], `seed ${seed}`);
}

test("in fair weather every session comes about within a second, at the first try and without a complaint", () => {
  worlds(all(0), 1).forEach((world, index) => {
    assert.ok(isLive(world), `seed ${index + 1}`);
    assert.deepEqual([world.joins.size, world.complaints], [1, []]);
    endsWell(world, index + 1);
  });
});

test("with one message in twenty lost, repeated, overtaken and late, all two hundred come live", () => {
  worlds(all(0.05), 30).forEach((world, index) => {
    assert.ok(isLive(world), `seed ${index + 1}: ${JSON.stringify(world.state)}`);
    endsWell(world, index + 1);
  });
});

test("with one in five, at least ninety-nine in a hundred do, the others name their error and try again, none is stuck", () => {
  const ran = worlds(all(0.2), 30);
  const others = ran.filter((world) => !isLive(world));
  assert.ok(others.length <= SEEDS / 100, `${others.length} are not live`);
  for (const { state } of others) {
    assert.ok(state !== undefined && state.reason in ERRORS && state.retryAt !== undefined, JSON.stringify(state));
  }
  ran.forEach((world, index) => {
    world.runUntil(180_000);
    assert.ok(isLive(world), `seed ${index + 1} is stuck: ${JSON.stringify(world.state)}`);
    endsWell(world, index + 1);
  });
});

/** A world in which the node rings, and a person answers in time, says no, or is not at home. */
class Doorstep extends World {
  /** How each call has gone, by the viewer. */
  readonly calls = new Map<string, string[]>();
  /** What the person means to do about the node's calls. */
  readonly plans = new Map<string, "accept" | "decline" | "nothing">();
  private rounds = 0;

  protected override perform(output: Output): void {
    super.perform(output);
    if (output.type !== "call") return;
    const { session, direction, state, end } = output.call;
    const gone = this.calls.get(session) ?? [];
    this.calls.set(session, [...gone, end ?? state]);
    assert.ok(!gone.includes("joined") && !gone.some((each) => each in ENDS), `${gone.join()} and then ${state}`);
    if (direction === "incoming" && state === "ringing") this.answer(session);
  }

  private answer(session: string): void {
    const plan = this.random() < 0.6 ? "accept" : this.random() < 0.5 ? "decline" : "nothing";
    this.plans.set(session, plan);
    this.in(200 + this.random() * 8_000, () => {
      if (plan === "accept") this.viewer.handle({ type: "accept", session }, this.now);
      else if (plan === "decline") this.viewer.handle({ type: "decline", session, reason: "declined" }, this.now);
    });
  }

  /** The node rings once; in some rounds the viewer calls at about the same time. Gives the ring's session. */
  round(alsoCalls: boolean): string {
    this.rounds += 1;
    const id = this.rounds.toString(16).padStart(32, "a");
    this.in(500, () => {
      this.node.ring(id, this.now);
    });
    if (alsoCalls) {
      this.in(this.random() * 1_000, () => {
        this.viewer.handle({ type: "call" }, this.now);
      });
    }
    this.runUntil(this.now + 90_000);
    return id;
  }
}

/** Whatever a call may end with. */
const ENDS: Record<string, unknown> = { ...ERRORS, busy: 1, declined: 1, timeout: 1, answered: 1, cancelled: 1 };

/** Three rounds for every seed, hung up after each; gives how many calls were accepted, and how many of them came about. */
function ringAll(weather: Weather, watching: boolean): { accepted: number; joined: number; rung: number } {
  const sum = { accepted: 0, joined: 0, rung: 0 };
  for (let seed = 1; seed <= SEEDS / 2; seed += 1) {
    const world = new Doorstep(seed, weather);
    world.viewer.handle({ type: "register", name: "Kitchen" }, 0);
    if (!watching) world.viewer.handle({ type: "stop" }, 0);
    world.runUntil(40_000);
    assert.equal(world.node.registered, "Kitchen", `seed ${seed}`);
    for (let round = 1; round <= 3; round += 1) {
      const alsoCalls = round === 3;
      const id = world.round(alsoCalls);
      const gone = world.calls.get(id);
      const atNode = world.node.rings.get(id);
      const where = `seed ${seed}, round ${round}: ${String(atNode)} at the node, ${String(gone)} here`;
      // Neither side is stuck, and both are of one mind.
      assert.ok(atNode !== undefined, where);
      for (const each of world.calls.values()) assert.ok(each.at(-1) === "joined" || (each.at(-1) ?? "") in ENDS, where);
      if (gone?.at(-1) === "joined") assert.equal(atNode, "taken", where);
      const alive = world.node.alive.map((each) => each.id);
      assert.deepEqual(alive, world.viewer.sessionId === undefined ? [] : [world.viewer.sessionId], where);
      assert.ok(!watching || isLive(world), where);
      if (gone !== undefined) sum.rung += 1;
      if (world.plans.get(id) === "accept" && !alsoCalls) {
        sum.accepted += 1;
        if (gone?.at(-1) === "joined") sum.joined += 1;
      }
      if (alsoCalls && !watching) assert.ok([...world.calls].some(([session, each]) => session !== id && ["joined", "signallingLost", "busy"].includes(each.at(-1) ?? "")), where);
      world.viewer.handle({ type: "stop" }, world.now);
      if (watching) world.viewer.handle({ type: "start" }, world.now);
      world.runUntil(world.now + 40_000);
    }
    world.viewer.handle({ type: "stop" }, world.now);
    world.viewer.handle({ type: "unregister" }, world.now);
    world.runUntil(world.now + 90_000);
    assert.deepEqual([world.state?.state, world.viewer.pollTimeout()], ["idle", undefined], `seed ${seed}`);
  }
  return sum;
}

test("in fair weather every call that is accepted comes about, watching or not, also when both sides call at once", () => {
  for (const watching of [false, true]) {
    const { accepted, joined, rung } = ringAll(all(0), watching);
    assert.ok(rung >= SEEDS && accepted > SEEDS / 4, `${rung} rung, ${accepted} accepted`);
    assert.equal(joined, accepted);
  }
});

test("with one message in twenty lost, repeated, overtaken and late, all do", () => {
  for (const watching of [false, true]) {
    const { accepted, joined } = ringAll(all(0.05), watching);
    assert.equal(joined, accepted);
  }
});

test("with one in five, nearly all do, no call is stuck or rings twice, and both sides agree on each", () => {
  for (const watching of [false, true]) {
    const { accepted, joined } = ringAll(all(0.2), watching);
    assert.ok(joined >= accepted * 0.97, `${joined} of ${accepted}`);
  }
});

test("when the node hangs up, it is over, whatever becomes of the message and of the connection's end", () => {
  for (const weather of [all(0), all(0.05), all(0.2)]) {
    let hungUp = 0;
    for (let seed = 1; seed <= SEEDS / 2; seed += 1) {
      const world = new Doorstep(seed, weather);
      world.viewer.handle({ type: "register", name: "Kitchen" }, 0);
      world.viewer.handle({ type: "stop" }, 0);
      world.runUntil(40_000);
      const isTaken = world.calls.get(world.round(false))?.at(-1) === "joined";
      if (!isTaken || !isLive(world)) continue;
      hungUp += 1;
      world.node.hangUp(world.now);
      world.runUntil(world.now + 60_000);
      assert.deepEqual([world.state, world.viewer.sessionId], [{ state: "idle", reason: "hungUp" }, undefined], `seed ${seed}`);
      assert.deepEqual(world.node.alive, [], `seed ${seed}`);
    }
    assert.ok(hungUp > SEEDS / 5, `${hungUp} were in a call`);
  }
});

test("where far more gets lost than comes through, whoever is not live says why, and when it is tried again", () => {
  const failures = new Set<string>();
  for (const world of worlds({ ...all(0.2), lost: 0.7 }, 0)) {
    for (let second = 1; second <= 300 && !isLive(world); second += 1) {
      world.runUntil(second * 1_000);
      const { state, reason, retryAt } = world.state ?? {};
      if (state === "live" || state === "connecting" || reason === undefined) continue;
      assert.ok(state === "lost" && (reason in ERRORS || reason === "closed" || reason === "replaced"), JSON.stringify(world.state));
      // A connection that has just been closed waits half a second for the reason.
      const waits = reason === "closed" && world.viewer.sessionId !== undefined;
      assert.ok(waits || (retryAt !== undefined && retryAt >= world.now), JSON.stringify(world.state));
      failures.add(reason);
    }
    assert.ok(isLive(world), `stuck: ${JSON.stringify(world.state)}`);
  }
  assert.ok(failures.has("signallingLost") && failures.size > 1, [...failures].join());
});

/** Runs for a minute in which on average both sides move six times, three of them together, and the path is cut once. */
function moves(world: World, seconds: number): void {
  const chance = lehmer(world.joins.size + seconds);
  const end = world.now + seconds * 1_000;
  while (world.now < end) {
    const dice = chance();
    if (dice < 0.1) world.moveViewer();
    if (dice > 0.05 && dice < 0.15) world.moveNode();
    if (dice > 0.98) {
      world.isCut = true;
      world.look();
      world.runUntil(world.now + chance() * 8_000);
      world.isCut = false;
      world.look();
    }
    world.runUntil(world.now + 1_000 * chance());
  }
}

/** A sequence that is the same in every run. */
function lehmer(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

test("in fair weather no change of network costs a session, whoever moves, and together too", () => {
  let restarts = 0;
  worlds(all(0), 1).forEach((world, index) => {
    moves(world, 60);
    world.runUntil(world.now + 30_000);
    assert.ok(isLive(world) && world.isWhole, `seed ${index + 1}: ${JSON.stringify(world.state)}`);
    assert.deepEqual([world.joins.size, world.complaints], [1, []], `seed ${index + 1}`);
    restarts += world.restarts;
    endsWell(world, index + 1);
  });
  assert.ok(restarts > SEEDS * 3, `${restarts} restarts`);
});

test("in bad weather every session comes live again after changes of network, or is followed by another", () => {
  let joins = 0;
  worlds(all(0.2), 60).forEach((world, index) => {
    if (!isLive(world)) return;
    const before = world.joins.size;
    moves(world, 60);
    world.runUntil(world.now + 120_000);
    assert.ok(isLive(world) && world.isWhole, `seed ${index + 1} is stuck: ${JSON.stringify(world.state)}`);
    joins += world.joins.size - before;
    endsWell(world, index + 1);
  });
  assert.ok(joins <= SEEDS / 20, `${joins} sessions were given up`);
});
