/** What the node tells of itself over the channel `telemetry`, once a second (PROTOCOL.md, section 9). */

export interface Telemetry {
  readonly uptime_s: number;
  readonly temperature_c?: number;
  readonly load?: number;
  readonly cpus?: number;
  readonly memoryBytes?: number;
  readonly memoryAvailableBytes?: number;
  readonly memoryOwnBytes?: number;
  readonly throttled?: { readonly now: readonly string[]; readonly since: readonly string[] };
  readonly wifi_dbm?: number;
  readonly diskFreeBytes?: number;
  readonly cameras: Readonly<Record<string, CameraFigures>>;
  /** Of this viewer. */
  readonly viewer?: {
    readonly rtt_ms?: number;
    readonly loss: number;
    readonly bitrate_bps: number;
    readonly framesDropped: number;
  };
}

export interface CameraFigures {
  readonly viewers: number;
  readonly captureToWire_ms?: number;
  readonly captureToWireP95_ms?: number;
  readonly encodedToWire_ms?: number;
}

/** A message of the channel; `undefined` for what is none. */
export function readTelemetry(data: unknown): Telemetry | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const read: unknown = JSON.parse(data);
    const isTelemetry = typeof read === "object" && read !== null && "uptime_s" in read && "cameras" in read;
    return isTelemetry ? (read as Telemetry) : undefined;
  } catch {
    return undefined;
  }
}
