/** Which picture a snapshot is, on a clock of its own. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { bestPicture, CAMERA_WITHIN_MS } from "../page/bestpicture.ts";
import { Hourglass } from "./hourglass.ts";

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const screen = (): Promise<string | undefined> => Promise.resolve("the screen's");

test("the camera's own picture is taken, and the screen's where it refuses", async () => {
  const glass = new Hourglass();
  assert.equal(await bestPicture({ camera: () => Promise.resolve("the camera's"), screen }, glass.later), "the camera's");
  assert.equal(await bestPicture({ camera: () => Promise.reject(new Error("shut")), screen }, glass.later), "the screen's");
  const nothing = { camera: () => Promise.reject(new Error("away")), screen: () => Promise.resolve(undefined) };
  assert.equal(await bestPicture<string>(nothing, glass.later), undefined);
  assert.equal(glass.waiting, 0, "no clock runs on");
});

test("a camera that takes more than three seconds is told so, and the screen's picture is taken", async () => {
  const glass = new Hourglass();
  let told = false;
  let isSettled = false;
  const camera = (signal: AbortSignal): Promise<string> =>
    new Promise(() => {
      signal.addEventListener("abort", () => {
        told = true;
      });
    });
  const best = bestPicture({ camera, screen }, glass.later);
  void best.then(() => {
    isSettled = true;
  });
  glass.pass(CAMERA_WITHIN_MS - 1);
  await turn();
  assert.deepEqual([isSettled, told], [false, false]);
  glass.pass(1);
  assert.deepEqual([await best, told], ["the screen's", true]);
});

test("what a camera brings too late, or breaks off then, harms nobody", async () => {
  for (const end of ["resolve", "reject"] as const) {
    const glass = new Hourglass();
    let late: () => void = () => undefined;
    const camera = (): Promise<string> =>
      new Promise((resolve, reject) => {
        late = () => {
          if (end === "resolve") resolve("late");
          else reject(new Error("late"));
        };
      });
    const best = bestPicture({ camera, screen }, glass.later);
    glass.pass(CAMERA_WITHIN_MS);
    assert.equal(await best, "the screen's");
    late();
    await turn();
  }
});
