/**
 * A tablet on a wall: it waits for calls, answers them by itself and keeps its screen on. A switch says so, which the browser keeps, or
 * `wall-tablet` in the address.
 */

import type { Kept } from "./kept.ts";

/** Whether the address says so. */
export function isTabletByAddress(hash: string): boolean {
  return new URLSearchParams(hash.replace(/^#/, "")).has("wall-tablet");
}

/** Whether this is one, as `kept` has it. */
export class Tablet {
  private on: boolean;

  constructor(
    private readonly kept: Kept,
    byAddress: boolean,
  ) {
    this.on = byAddress || kept.get() === "on";
  }

  get isOn(): boolean {
    return this.on;
  }

  /** Somebody says so. */
  turn(on: boolean): void {
    this.on = on;
    this.kept.set(on ? "on" : undefined);
  }
}

/** Calls `told` when somebody first touches this page: before that, browsers let it make no sound. */
export function onFirstTouch(told: () => void): void {
  const touched = (): void => {
    for (const name of TOUCHES) removeEventListener(name, touched);
    told();
  };
  for (const name of TOUCHES) addEventListener(name, touched);
}

/** The events by which browsers take a page for used. */
const TOUCHES = ["pointerup", "keydown"] as const;
