/** Numbers for people from two of the browser's statistics reports. Pure. */

/** How the stream is, over about the last second. */
export interface Stats {
  /** Pixels; absent before the first picture. */
  readonly width?: number;
  /** Lines; absent before the first picture. */
  readonly height?: number;
  /** Pictures shown a second. */
  readonly fps?: number;
  /** Bits a second of sound and picture together. */
  readonly bitrateBps?: number;
  /** To the node and back, in milliseconds, as ICE measures it. */
  readonly roundTripMs?: number;
  /** How long a picture waits in the browser before it is shown. */
  readonly bufferMs?: number;
  /**
   * An estimate of the way from the node to the screen: half the round trip, plus buffer and decoding. The camera's
   * exposure and the node's encoder are not in it; nobody can measure those from here.
   */
  readonly latencyMs?: number;
  /** Packets of the picture that never came, since the session began. */
  readonly packetsLost?: number;
  /** Pictures decoded since the session began. */
  readonly framesDecoded?: number;
  /** Pictures that were decoded, or not even that, and never shown. */
  readonly framesDropped?: number;
  /** For example `H264`. */
  readonly codec?: string;
  /** For example `opus`. */
  readonly audioCodec?: string;
  /** How the packets come: directly, from behind a NAT, or through a relay. */
  readonly path?: "host" | "srflx" | "prflx" | "relay";
  /** No new picture in the last second. */
  readonly still: boolean;
}

/** The counters of one report that the next one is compared with. */
export interface Sample {
  readonly atMs: number;
  readonly bytes: number;
  readonly framesDecoded: number;
  readonly decodeS: number;
  readonly bufferS: number;
  readonly emitted: number;
  /** From first packet to decoded picture, where the browser counts it. */
  readonly processingS: number | undefined;
  readonly rest: Omit<Stats, "fps" | "bitrateBps" | "bufferMs" | "latencyMs" | "still">;
}

type Entry = Record<string, unknown>;

/** What one report says. */
export function sample(report: Iterable<[string, unknown]>): Sample {
  const entries = new Map([...report].map(([id, value]) => [id, value as Entry]));
  const all = [...entries.values()];
  const inbound = all.filter((each) => each["type"] === "inbound-rtp");
  const video = inbound.find((each) => each["kind"] === "video");
  const audio = inbound.find((each) => each["kind"] === "audio");
  const codec = (of: Entry | undefined): string | undefined => {
    const mime = entries.get(string(of?.["codecId"]) ?? "")?.["mimeType"];
    return typeof mime === "string" ? mime.replace(/^\w+\//, "") : undefined;
  };
  const pair = selectedPair(entries);
  const roundTripS = number(pair?.["currentRoundTripTime"]);
  const path = string(entries.get(string(pair?.["localCandidateId"]) ?? "")?.["candidateType"]);
  return {
    atMs: Math.max(0, ...all.map((each) => number(each["timestamp"]) ?? 0)),
    bytes: inbound.reduce((sum, each) => sum + (number(each["bytesReceived"]) ?? 0), 0),
    framesDecoded: number(video?.["framesDecoded"]) ?? 0,
    decodeS: number(video?.["totalDecodeTime"]) ?? 0,
    bufferS: number(video?.["jitterBufferDelay"]) ?? 0,
    emitted: number(video?.["jitterBufferEmittedCount"]) ?? 0,
    processingS: number(video?.["totalProcessingDelay"]),
    rest: compact({
      width: number(video?.["frameWidth"]),
      height: number(video?.["frameHeight"]),
      roundTripMs: roundTripS === undefined ? undefined : roundTripS * 1_000,
      packetsLost: inbound.length > 0 ? inbound.reduce((sum, each) => sum + (number(each["packetsLost"]) ?? 0), 0) : undefined,
      framesDecoded: number(video?.["framesDecoded"]),
      framesDropped: number(video?.["framesDropped"]),
      codec: codec(video),
      audioCodec: codec(audio),
      path: path === "host" || path === "srflx" || path === "prflx" || path === "relay" ? path : undefined,
    }),
  };
}

/** What has happened between two samples. */
export function statsBetween(before: Sample | undefined, now: Sample): Stats {
  const seconds = before === undefined ? 0 : (now.atMs - before.atMs) / 1_000;
  if (before === undefined || seconds <= 0) return { ...now.rest, still: false };
  const frames = now.framesDecoded - before.framesDecoded;
  const emitted = now.emitted - before.emitted;
  const bufferMs = emitted > 0 ? ((now.bufferS - before.bufferS) / emitted) * 1_000 : undefined;
  return {
    ...now.rest,
    ...compact({
      fps: now.rest.framesDecoded === undefined ? undefined : frames / seconds,
      bitrateBps: ((now.bytes - before.bytes) * 8) / seconds,
      bufferMs,
      latencyMs: latencyMs(before, now, frames, bufferMs),
    }),
    still: now.rest.framesDecoded !== undefined && frames === 0,
  };
}

function latencyMs(before: Sample, now: Sample, frames: number, bufferMs: number | undefined): number | undefined {
  if (frames <= 0 || now.rest.roundTripMs === undefined) return undefined;
  const decodeMs = ((now.decodeS - before.decodeS) / frames) * 1_000;
  const inBrowser =
    now.processingS !== undefined && before.processingS !== undefined
      ? ((now.processingS - before.processingS) / frames) * 1_000
      : bufferMs === undefined
        ? undefined
        : bufferMs + decodeMs;
  return inBrowser === undefined ? undefined : now.rest.roundTripMs / 2 + inBrowser;
}

/** The pair of addresses in use: named by the transport, or the nominated one where there is no transport entry. */
function selectedPair(entries: Map<string, Entry>): Entry | undefined {
  const all = [...entries.values()];
  for (const transport of all.filter((each) => each["type"] === "transport")) {
    const pair = entries.get(string(transport["selectedCandidatePairId"]) ?? "");
    if (pair !== undefined) return pair;
  }
  return all.find((each) => each["type"] === "candidate-pair" && each["state"] === "succeeded" && each["nominated"] === true);
}

function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function string(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

type Compact<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function compact<T extends object>(from: T): Compact<T> {
  return Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as Compact<T>;
}
