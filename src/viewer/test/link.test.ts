/** The connection to the broker, over sockets that are not there. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Endpoint, Link, type LinkListener } from "../lib/link.ts";
import { SecureContextNeeded } from "../lib/secure.ts";
import { withGlobals } from "./globals.ts";
import { Bench, PEER } from "./node.ts";
import { broker, FakeSocket } from "./socket.ts";

const BROWSER = { WebSocket: FakeSocket, location: { protocol: "https:" } };
const TOPICS = ["a/status", "a/out"];

/** What a link reports, to be awaited one by one. */
class Reports implements LinkListener {
  private readonly got: string[] = [];
  private wanted: (() => void) | undefined;

  up(peer: string): void {
    this.report(`up ${peer}`);
  }

  down(problem: string, detail: string): void {
    this.report(detail === "" ? problem : `${problem}: ${detail}`);
  }

  message(topic: string, payload: string): void {
    this.report(`${topic} ${payload}`);
  }

  async next(): Promise<string> {
    if (this.got.length === 0) await new Promise<void>((resolve) => (this.wanted = resolve));
    return this.got.shift() ?? "";
  }

  private report(what: string): void {
    this.got.push(what);
    this.wanted?.();
  }
}

function linkTo(endpoint: () => Promise<Endpoint>): { link: Link; reports: Reports } {
  const reports = new Reports();
  const link = new Link(async () => ({ clientId: PEER, ...(await endpoint()) }), () => TOPICS, reports);
  return { link, reports };
}

test("every connection asks for its way anew, and a signed address reaches the browser as it is", () =>
  withGlobals(BROWSER, async () => {
    let asked = 0;
    const { link, reports } = linkTo(() => Promise.resolve({ url: `wss://h/mqtt?X-Amz-Signature=${(asked += 1)}%2F&X-Amz-Security-Token=a%2Bb` }));
    for (const time of [1, 2]) {
      link.connect();
      assert.equal(await reports.next(), `up ${PEER}`);
      assert.equal(FakeSocket.last.url, `wss://h/mqtt?X-Amz-Signature=${time}%2F&X-Amz-Security-Token=a%2Bb`);
      assert.deepEqual(FakeSocket.last.protocols, ["mqtt"]);
      assert.deepEqual(FakeSocket.last.said, ["connect", "subscribe"]);
      FakeSocket.last.cut();
      assert.match(await reports.next(), /^lost/);
    }
    link.close();
  }));

test("user name and password go into the CONNECT, the client id is the peer's", () =>
  withGlobals(BROWSER, async () => {
    const { link, reports } = linkTo(() => Promise.resolve({ url: "wss://h/mqtt", username: "?t=token", password: "secret", clientId: "tablet-1", protocols: ["mqttv3.1"] }));
    link.connect();
    assert.equal(await reports.next(), "up tablet-1");
    const connect = new TextDecoder().decode(FakeSocket.last.packets[0]?.bytes);
    for (const part of ["tablet-1", "?t=token", "secret"]) assert.ok(connect.includes(part), part);
    assert.deepEqual(FakeSocket.last.protocols, ["mqttv3.1"]);
    link.close();
  }));

test("a way that cannot be had is told from a broker that is not there", () =>
  withGlobals(BROWSER, async () => {
    const { link, reports } = linkTo(() => Promise.reject(new Error("signed out")));
    link.connect();
    assert.equal(await reports.next(), "noAddress: signed out");
    const unsigned = linkTo(() => Promise.reject(new SecureContextNeeded("crypto", false)));
    unsigned.link.connect();
    assert.match(await unsigned.reports.next(), /^noCrypto: .*https/);
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- what a user's own function throws may be anything
    const odd = linkTo(() => { throw "a text"; });
    odd.link.connect();
    assert.equal(await odd.reports.next(), "noAddress: a text");
  }));

test("a refused password and refused topics are told apart", () =>
  withGlobals(BROWSER, async () => {
    const { link, reports } = linkTo(() => Promise.resolve({ url: "wss://h/mqtt" }));
    broker.connack = 5;
    link.connect();
    assert.match(await reports.next(), /^unauthorized/);
    broker.connack = 0;
    broker.suback = 128;
    link.connect();
    assert.match(await reports.next(), /^topicsRefused/);
    broker.suback = 1;
  }));

test("a broker that cuts the connection at the subscription refuses the topics, as AWS does, if it does so again", () =>
  withGlobals(BROWSER, async () => {
    const { link, reports } = linkTo(() => Promise.resolve({ url: "wss://h/mqtt" }));
    broker.suback = "cut";
    link.connect();
    assert.match(await reports.next(), /^lost/);
    link.connect();
    assert.match(await reports.next(), /^topicsRefused/);
    broker.suback = 1;
    link.connect();
    assert.equal(await reports.next(), `up ${PEER}`);
    FakeSocket.last.cut();
    assert.match(await reports.next(), /^lost/);
    broker.suback = "cut";
    link.connect();
    assert.match(await reports.next(), /^lost/, "it counts anew");
    broker.suback = 1;
  }));

test("an address that the browser refuses at once is a wrong address", () => {
  const WebSocket = function (): never {
    throw new SyntaxError("bad subprotocol");
  };
  return withGlobals({ ...BROWSER, WebSocket }, async () => {
    const { link, reports } = linkTo(() => Promise.resolve({ url: "wss://h/mqtt", protocols: ["two words"] }));
    link.connect();
    assert.equal(await reports.next(), "badAddress: bad subprotocol");
  });
});

test("what an older connection still says counts for nothing", () =>
  withGlobals(BROWSER, async () => {
    const { link, reports } = linkTo(() => Promise.resolve({ url: "wss://h/mqtt" }));
    link.connect();
    await reports.next();
    const old = FakeSocket.last;
    link.connect();
    assert.equal(await reports.next(), `up ${PEER}`);
    assert.notEqual(FakeSocket.last, old);
    old.cut();
    // A PUBLISH of QoS 0 to the topic "t".
    FakeSocket.last.hear(0x30, 4, 0, 1, 0x74, 0x21);
    assert.equal(await reports.next(), "t !");
    link.close();
  }));

test("a picture does not notice that the broker's connection is cut after a day", () =>
  withGlobals(BROWSER, async () => {
    const bench = new Bench();
    let signed = 0;
    const { link, reports } = linkTo(() => Promise.resolve({ url: `wss://h/mqtt?signed=${(signed += 1)}` }));
    /** Performs what the core has asked for since. */
    const follow = async (): Promise<void> => {
      link.connect();
      assert.equal(await reports.next(), `up ${PEER}`);
      bench.handle({ type: "linkUp", peer: PEER });
    };
    bench.handle({ type: "start" });
    await follow();
    bench.status("online");
    bench.joinThrough();
    for (const day of [2, 3]) {
      bench.watch(10);
      bench.advance(86_400_000);
      FakeSocket.last.cut();
      assert.match(await reports.next(), /^lost/);
      bench.handle({ type: "linkDown", problem: "lost" });
      assert.deepEqual([bench.state.state, bench.state.brokerAway], ["live", true]);
      // Candidates that are found meanwhile wait for the broker.
      bench.peer({ type: "candidates", candidates: [{ candidate: "c", usernameFragment: "mine" }], complete: false });
      bench.advance(1_000);
      assert.equal(bench.connects, day, "it is connected anew within a second");
      const before = bench.said.length;
      await follow();
      assert.ok(FakeSocket.last.url.endsWith(`signed=${day}`), FakeSocket.last.url);
      assert.deepEqual(bench.said.slice(before), ["ice"], "what waited goes out, nothing else does");
      bench.says({ type: "ack" });
      assert.deepEqual([bench.state.state, bench.state.brokerAway], ["live", undefined]);
    }
    assert.equal(bench.joins().length, 1);
    assert.ok(!bench.commands.some((command) => command.do === "close"));
    link.close();
  }));
