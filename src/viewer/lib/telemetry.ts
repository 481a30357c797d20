/** What the node tells of itself over the channel `telemetry`, once a second (PROTOCOL.md, section 9). */

/** How board and node are. What a board cannot tell is absent. */
export interface Telemetry {
  /** Seconds since the node's program was started. */
  readonly uptime_s: number;
  /** Of the processor, in degrees Celsius. */
  readonly temperature_c?: number;
  /** Of the last minute, as the system counts it. */
  readonly load?: number;
  /** Processors there are. */
  readonly cpus?: number;
  /** All there is. */
  readonly memoryBytes?: number;
  /** What programs may still have. */
  readonly memoryAvailableBytes?: number;
  /** What the node holds. */
  readonly memoryOwnBytes?: number;
  /** Of a Raspberry Pi: what slows it down, now and since it was started. */
  readonly throttled?: { readonly now: readonly string[]; readonly since: readonly string[] };
  /** The signal's strength. */
  readonly wifi_dbm?: number;
  /** What is free where the node keeps its state: its keys, and what must outlive a restart. */
  readonly diskFreeBytes?: number;
  /** Each camera, by its name. */
  readonly cameras: Readonly<Record<string, CameraFigures>>;
  /** Of this viewer. */
  readonly viewer?: {
    readonly rtt_ms?: number;
    readonly loss: number;
    readonly bitrate_bps: number;
    readonly framesDropped: number;
  };
}

/** How one camera's pictures get out. */
export interface CameraFigures {
  /** How many watch it. */
  readonly viewers: number;
  /** Milliseconds from the camera to the network, the median of the last ten seconds' pictures. */
  readonly captureToWire_ms?: number;
  /** The same, that 19 of 20 pictures keep to. */
  readonly captureToWireP95_ms?: number;
  /** Milliseconds from the encoder to the network, the median. */
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
