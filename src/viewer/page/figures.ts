/** What of telemetry is plotted, and in which words. */

import type { Telemetry } from "../lib/index.ts";
import { bitrate, milliseconds } from "./numbers.ts";

/** One number of a board, a camera or a connection. */
export interface Figure {
  readonly name: string;
  readonly label: string;
  readonly read: (telemetry: Telemetry) => number | undefined;
  readonly words: (value: number) => string;
  /** The least span of its axis, so that nothing is made of noise. */
  readonly span: number;
}

const megabytes = (bytes: number): string => (bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

/** In the order in which they stand. */
export const FIGURES: readonly Figure[] = [
  { name: "temperature", label: "Temperature", read: (t) => t.temperature_c, words: (v) => `${v.toFixed(1)} °C`, span: 10 },
  { name: "load", label: "Load", read: (t) => t.load, words: (v) => v.toFixed(2), span: 1 },
  { name: "memory", label: "Free memory", read: (t) => t.memoryAvailableBytes, words: megabytes, span: 1e8 },
  { name: "disk", label: "Free disk", read: (t) => t.diskFreeBytes, words: megabytes, span: 1e8 },
  { name: "wifi", label: "Wi-Fi", read: (t) => t.wifi_dbm, words: (v) => `${v} dBm`, span: 20 },
  { name: "bitrate", label: "To you", read: (t) => t.viewer?.bitrate_bps, words: bitrate, span: 500_000 },
  { name: "rtt", label: "Round trip", read: (t) => t.viewer?.rtt_ms, words: milliseconds, span: 10 },
  { name: "latency", label: "In the camera", read: (t) => Object.values(t.cameras)[0]?.captureToWire_ms, words: milliseconds, span: 10 },
];
