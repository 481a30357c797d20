/** Microphones and loudspeakers: what a menu is told, when, and what a browser without any says. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { allowMicrophone, canChooseSpeaker, devices, type Devices, useSpeaker, watchDevices } from "../lib/devices.ts";
import { withGlobals } from "./globals.ts";

const info = (kind: string, deviceId: string, label: string) => ({ kind, deviceId, label, groupId: "" });

/** A browser's devices, that change. */
class Machine extends EventTarget {
  all = [info("audioinput", "", ""), info("videoinput", "", ""), info("audiooutput", "", "")];
  readonly asked: (() => void)[] = [];
  enumerateDevices(): Promise<unknown> {
    const { all } = this;
    return Promise.resolve(all);
  }
  change(): void {
    this.dispatchEvent(new Event("devicechange"));
  }
}

class Element {
  setSinkId(id: string): Promise<void> {
    return id === "gone" ? Promise.reject(new Error("NotFoundError")) : Promise.resolve();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("before the microphone is allowed there are numbers for names, and then the system's", async () => {
  const machine = new Machine();
  const leave = new EventTarget();
  const permissions = { query: () => Promise.resolve(leave) };
  await withGlobals({ navigator: { mediaDevices: machine, permissions }, HTMLMediaElement: Element }, async () => {
    const told: Devices[] = [];
    const end = watchDevices((each) => told.push(each));
    await turn();
    assert.deepEqual(told, [{ microphones: [{ id: "", name: "Microphone 1" }], speakers: [{ id: "", name: "Loudspeaker 1" }], named: false }]);

    machine.all = [info("audioinput", "a", "Desk microphone"), info("audiooutput", "b", "Headphones")];
    leave.dispatchEvent(new Event("change"));
    await turn();
    assert.deepEqual(told.at(-1), { microphones: [{ id: "a", name: "Desk microphone" }], speakers: [{ id: "b", name: "Headphones" }], named: true });

    machine.all = [info("audiooutput", "b", "Headphones")];
    machine.change();
    machine.change();
    await turn();
    assert.deepEqual([told.length, told.at(-1)?.microphones], [3, []]);

    end();
    machine.change();
    leave.dispatchEvent(new Event("change"));
    await turn();
    assert.equal(told.length, 3);
  });
});

test("who is asked for the microphone alone lets it go at once, and the names are looked up again", async () => {
  const machine = Object.assign(new Machine(), { getUserMedia: (): Promise<unknown> => Promise.reject(new Error("NotAllowedError")) });
  await withGlobals({ navigator: { mediaDevices: machine } }, async () => {
    const told: Devices[] = [];
    const end = watchDevices((each) => told.push(each));
    await turn();
    assert.deepEqual([await allowMicrophone(), told.length], [false, 1]);
    let stopped = 0;
    machine.getUserMedia = () => Promise.resolve({ getTracks: () => [{ stop: () => (stopped += 1) }] });
    machine.all = [info("audioinput", "a", "Desk microphone")];
    assert.equal(await allowMicrophone(), true);
    await turn();
    assert.deepEqual([stopped, told.length, told.at(-1)?.microphones[0]?.name], [1, 2, "Desk microphone"]);
    end();
  });
  await withGlobals({ navigator: {} }, async () => {
    assert.equal(await allowMicrophone(), false);
  });
});

test("a browser that gives no list, or forbids it, has no devices, and says so without failing", async () => {
  const none = { microphones: [], speakers: [], named: false };
  const forbidden = { enumerateDevices: () => Promise.reject(new Error("NotAllowedError")), addEventListener: () => undefined };
  for (const navigator of [{}, { mediaDevices: {} }, { mediaDevices: forbidden }]) {
    await withGlobals({ navigator }, async () => {
      assert.deepEqual(await devices(), none);
    });
  }
  await withGlobals({ navigator: {} }, async () => {
    const told: Devices[] = [];
    watchDevices((each) => told.push(each))();
    await turn();
    assert.deepEqual(told, []);
  });
});

test("where pages may not choose, loudspeakers are not offered; where they may, a choice can fail", async () => {
  const machine = new Machine();
  await withGlobals({ navigator: { mediaDevices: machine }, HTMLMediaElement: EventTarget }, async () => {
    assert.deepEqual([canChooseSpeaker(), (await devices()).speakers], [false, []]);
    assert.equal(await useSpeaker({} as HTMLMediaElement, "b"), false);
  });
  const element = new Element() as unknown as HTMLMediaElement;
  assert.deepEqual([await useSpeaker(element, "b"), await useSpeaker(element, "gone")], [true, false]);
});
