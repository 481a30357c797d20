/** What the page and the network tell, over a browser that is not there. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { type Attention, followAttention } from "../lib/attention.ts";
import { withGlobals } from "./globals.ts";

/** A page whose events are made by hand. */
interface Page {
  /** What is told for an event, in order. */
  readonly fire: (where: "document" | "window", name: string, more?: object) => readonly string[];
  readonly show: (state: "visible" | "hidden") => void;
  readonly stop: () => void;
  readonly connection: EventTarget & { type: string };
}

async function followed(work: (page: Page) => void): Promise<void> {
  const document = Object.assign(new EventTarget(), { visibilityState: "visible" });
  const window = new EventTarget();
  const connection = Object.assign(new EventTarget(), { type: "wifi" });
  const globals = {
    document,
    navigator: { connection },
    addEventListener: window.addEventListener.bind(window),
    removeEventListener: window.removeEventListener.bind(window),
  };
  await withGlobals(globals, () => {
    const told: string[] = [];
    const tell = (word: keyof Attention) => () => void told.push(word);
    const stop = followAttention({ wake: tell("wake"), leave: tell("leave"), back: tell("back"), networkChanged: tell("networkChanged") });
    const fire: Page["fire"] = (where, name, more = {}) => {
      (where === "document" ? document : window).dispatchEvent(Object.assign(new Event(name), more));
      return told.splice(0);
    };
    work({
      fire,
      show: (state) => {
        document.visibilityState = state;
      },
      stop,
      connection,
    });
  });
}

test("who comes back to the page, or is back on the network, is told of; who goes into the background is not", async () => {
  await followed(({ fire, show }) => {
    show("hidden");
    assert.deepEqual(fire("document", "visibilitychange"), []);
    // What nobody sees waits until somebody does; the new network is told of all the same.
    assert.deepEqual(fire("window", "online"), ["networkChanged"]);
    show("visible");
    assert.deepEqual(fire("document", "visibilitychange"), ["wake"]);
    assert.deepEqual(fire("window", "online").slice().sort(), ["networkChanged", "wake"]);
  });
});

test("a page that is left says so, and comes back only where the browser has kept it", async () => {
  await followed(({ fire }) => {
    assert.deepEqual(fire("window", "pageshow", { persisted: false }), [], "a page that opens has not been left");
    assert.deepEqual(fire("window", "pagehide", { persisted: true }), ["leave"]);
    assert.deepEqual(fire("window", "pageshow", { persisted: true }), ["back"]);
  });
});

test("another network is told of once it is there, and only if it is another", async () => {
  await followed(({ fire, connection }) => {
    const change = (type: string): readonly string[] => {
      connection.type = type;
      connection.dispatchEvent(new Event("change"));
      return fire("window", "nothing");
    };
    assert.deepEqual(change("wifi"), [], "its speed has changed");
    assert.deepEqual(change("cellular"), ["networkChanged"]);
    assert.deepEqual(change("none"), []);
    assert.deepEqual(change("wifi"), ["networkChanged"]);
  });
});

test("nothing is told any more after the end", async () => {
  await followed(({ fire, stop, connection }) => {
    stop();
    connection.type = "cellular";
    connection.dispatchEvent(new Event("change"));
    const all = [
      ...fire("document", "visibilitychange"), ...fire("window", "online"), ...fire("window", "pagehide"), ...fire("window", "pageshow", { persisted: true }),
    ];
    assert.deepEqual(all, []);
  });
});
