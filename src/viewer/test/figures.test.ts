/** What the page plots of telemetry, from a message to the words beside the lines. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { readTelemetry, type Telemetry } from "../lib/telemetry.ts";
import { FIGURES } from "../page/figures.ts";

const shown = (telemetry: Telemetry): string[] =>
  FIGURES.flatMap(({ label, read, words }) => {
    const value = read(telemetry);
    return value === undefined ? [] : [`${label}: ${words(value)}`];
  });

const WHOLE = {
  uptime_s: 7,
  temperature_c: 51.54,
  load: 0.416,
  cpus: 4,
  memoryBytes: 4e9,
  memoryAvailableBytes: 812_400_000,
  memoryOwnBytes: 3e7,
  wifi_dbm: -61,
  diskFreeBytes: 12_340_000_000,
  cameras: { front: { viewers: 2, captureToWire_ms: 9, captureToWireP95_ms: 14, encodedToWire_ms: 0.25 } },
  viewer: { rtt_ms: 23, loss: 0, bitrate_bps: 1_960_000, framesDropped: 0 },
};

test("each number of a message stands beside its line, in its order", () => {
  const telemetry = readTelemetry(JSON.stringify(WHOLE));
  assert.ok(telemetry);
  assert.deepEqual(shown(telemetry), [
    "Temperature: 51.5 °C",
    "Load: 0.42",
    "Free memory: 812 MB",
    "Free disk: 12.3 GB",
    "Wi-Fi: -61 dBm",
    "To you: 2.0 Mbit/s",
    "Round trip: 23 ms",
    "In the camera: 9 ms",
  ]);
});

test("what a board or a camera does not tell has no line", () => {
  const telemetry = readTelemetry(JSON.stringify({ uptime_s: 1, load: 0, cameras: { front: { viewers: 0 } } }));
  assert.ok(telemetry);
  assert.deepEqual(shown(telemetry), ["Load: 0.00"]);
});
