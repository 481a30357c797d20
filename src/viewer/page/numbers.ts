/** Numbers as people read them. Pure. */

import type { Stats } from "../lib/index.ts";

/** Bits a second, in the unit that gives few digits. */
export function bitrate(bps: number): string {
  if (bps < 1_000_000) return `${Math.round(bps / 1_000)} kbit/s`;
  return `${(bps / 1_000_000).toFixed(1)} Mbit/s`;
}

/** Milliseconds without false precision. */
export function milliseconds(ms: number): string {
  return ms < 1 ? "<1 ms" : `${Math.round(ms)} ms`;
}

/** The texts of the line of numbers, by their place; empty where nothing is known. */
export function numberTexts(stats: Stats | undefined, measuredMs: number | undefined): Record<"resolution" | "fps" | "bitrate" | "round-trip" | "latency", string> {
  const { width, height, fps, bitrateBps, roundTripMs, latencyMs } = stats ?? {};
  return {
    resolution: width === undefined || height === undefined ? "" : `${width} × ${height}`,
    fps: fps === undefined ? "" : `${Math.round(fps)} fps`,
    bitrate: bitrateBps === undefined ? "" : bitrate(bitrateBps),
    "round-trip": roundTripMs === undefined ? "" : `${milliseconds(roundTripMs)} round trip`,
    // Measured from the stamp of a test pattern, or else estimated, and said so.
    latency: measuredMs !== undefined ? `${milliseconds(measuredMs)} latency` : latencyMs === undefined ? "" : `≈ ${milliseconds(latencyMs)} latency`,
  };
}

/** `porch-front-2026-11-21T06-05-21.jpg`: sorts by time, and any file system takes it. */
export function snapshotName(node: string, camera: string, time: Date, extension: string): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = [time.getFullYear(), two(time.getMonth() + 1), two(time.getDate())].join("-");
  const clock = [two(time.getHours()), two(time.getMinutes()), two(time.getSeconds())].join("-");
  return `${node}-${camera}-${day}T${clock}.${extension}`;
}

/** Whole seconds until a time, at least one. */
export function secondsUntil(time: number, now: number): number {
  return Math.max(1, Math.ceil((time - now) / 1_000));
}

/** Values that a plot shows: two minutes at one a second. */
export const PLOT_WIDTH = 120;

/** The line in a box of 120 by 30, its newest end on the right; lines stand in the middle of an axis that is at least `span` high. */
export function plotPoints(values: readonly number[], span: number): string {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const height = Math.max(most - least, span);
  const bottom = (least + most - height) / 2;
  return values
    .map((value, n) => `${PLOT_WIDTH - values.length + n + 1},${(30 - ((value - bottom) / height) * 30).toFixed(1)}`)
    .join(" ");
}
