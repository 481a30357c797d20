/** TURN servers' logins: taken with the session, and anew while it lasts. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { BOOT, Bench } from "./node.ts";

test("new logins for TURN servers are taken by the connection that is there, and acknowledged", () => {
  const bench = new Bench();
  bench.goLive();
  assert.deepEqual(bench.commands.filter((command) => command.do === "configure"), []);
  const iceServers = [{ urls: ["turns:turn.example.org"], username: "1800000060:v-1", credential: "secret" }];
  const node = { name: "Front door", boot: BOOT, version: "0.1.0" };
  bench.says({ type: "peer", iceServers, node, nonce: "n", expires: 60 });
  assert.deepEqual(bench.commands.at(-1), { do: "configure", iceServers });
  assert.equal(bench.commands.filter((command) => command.do === "open").length, 1, "it is no new connection");
  bench.advance(150);
  assert.equal(bench.published.at(-1)?.message.ack, 2);
  assert.equal(bench.state.state, "live");
});
