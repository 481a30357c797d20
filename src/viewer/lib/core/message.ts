/** What the messages of protocol version 1 say: a body for each type, read strictly, unknown fields dropped. */

import type { Fields, Reader } from "./read.ts";
import { fields, flag, form, isFields, list, map, maybe, must, text, Unreadable, whole, word } from "./read.ts";

/** A node's or a peer's id: it stands in topics. */
export const id = form(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 of A-Z, a-z, 0-9, '_' and '-'");
/** A session's id. */
export const sessionId = form(/^[0-9a-f]{32}$/, "32 lower-case hex digits");
const boot = form(/^[0-9a-f]{8,64}$/, "8 to 64 lower-case hex digits");
const cameraName = form(/^[a-z0-9-]{1,32}$/, "1 to 32 of a-z, 0-9 and '-'");
const sdp = text(65_536);
const nonce = text(128);
const token = text(8_192);
const jpeg = form(/^[A-Za-z0-9+/=]{4,64000}$/, "4 to 64000 characters of base64");

/** Which cameras: all, none, or these. */
export type CameraChoice = boolean | string[];

/** What a session is to carry. */
export interface Wants {
  /** Pictures: of all cameras (`true`), of those named, or none. */
  video?: CameraChoice;
  /** Sound, in the same way. */
  audio?: CameraChoice;
  /** To be heard at the camera. */
  talk?: boolean;
  /** Labels of the data channels the node is to open. */
  channels?: string[];
}

export interface IceServer {
  urls: string | string[];
  username?: string;
  credential?: string;
}

export interface Candidate {
  candidate: string;
  sdpMid?: string;
  sdpMLineIndex?: number;
  usernameFragment?: string;
}

/** What one media section carries. */
export interface Mid {
  camera: string;
  kind: "video" | "audio";
  /** Of sound: what we send in it is heard at the camera. */
  talk?: boolean;
}

export interface NodeInfo {
  name: string;
  boot: string;
  version: string;
  key?: string;
}

export type LeaveReason = "closed" | "replaced" | "expired" | "limit" | "shutdown" | "failed";

/** Why a caller gives a call up. */
export type CancelReason = "closed" | "timeout" | "answered" | "failed";

/** Why a call is not taken. */
export type RejectReason = "busy" | "declined" | "timeout" | "notAllowed" | "unsupported";

/** How one camera is; none of these refuses a join. */
export interface CameraDetail {
  /** `private` is shut by somebody, `away` is unplugged. */
  state: "idle" | "running" | "private" | "away" | "failed";
  /** With `failed`: `busy`, `stalled`, `unsupported` or `failed`; a later node may say others. */
  fault?: string;
  /** For people, where something is wrong. */
  message?: string;
}

/** A node's presence. */
export interface Status {
  /** Of the message. */
  type: "status";
  /** Of the protocol that the node speaks. */
  versions: number[];
  /** Whether it is there. */
  state: "online" | "offline";
  /** This run of the node's program. */
  boot: string;
  /** Which of its broker connections within that run, from 1. */
  conn: number;
  /** For people. */
  name?: string;
  /** What can be asked for in `wants`: names, with size in pixels and pictures a second. */
  cameras?: { name: string; width: number; height: number; fps: number }[];
  /** Whether a `join` needs a token. */
  access?: "open" | "token";
  /** How many watch, where the node is configured to tell. */
  viewers?: number;
  /** `warnings` are for who looks after the node. */
  state_detail?: { cameras: Record<string, CameraDetail>; warnings?: string[] };
}

/** What went wrong, as it goes over the wire. */
export interface Failure {
  type: "error";
  code: number;
  name: string;
  message: string;
  /** Seconds. */
  retryAfter?: number;
  versions?: number[];
}

export type Body =
  | { type: "join"; wants: Wants; token?: string; nonce: string }
  | { type: "peer"; iceServers: IceServer[]; node: NodeInfo; nonce: string; expires?: number }
  | { type: "offer"; sdp: string; mids: Record<string, Mid> }
  | { type: "answer"; sdp: string }
  | { type: "ice"; candidates: Candidate[]; complete: boolean }
  | { type: "leave"; reason: LeaveReason }
  | { type: "ack" | "ringing" | "unregister" | "unregistered" | "probe" }
  | Failure
  | { type: "call"; sdp?: string; from: string; wants?: Wants; token?: string; nonce: string }
  | { type: "cancel"; reason: CancelReason }
  | { type: "callResponse"; response: "accepted"; sdp?: string; mids?: Record<string, Mid>; nonce: string; wants?: Wants; token?: string }
  | ({ type: "callResponse"; response: "rejected"; reason: RejectReason } & Partial<Pick<Failure, "code" | "message" | "retryAfter">>)
  | { type: "register"; name: string; ttl: number; token?: string }
  | { type: "registered"; name: string; ttl: number }
  | { type: "renew"; token: string }
  | { type: "snapshot"; camera?: string; width?: number; maxBytes?: number; token?: string }
  /** `jpeg` in base64. */
  | { type: "picture"; camera: string; width: number; height: number; jpeg: string }
  | Status;

export type MessageType = Body["type"];

/** Whether a message ends its session: it is acted on at once, and counts as acknowledging all before it. */
export function isLastWord(body: Body): boolean {
  return body.type === "leave" || body.type === "cancel" || (body.type === "callResponse" && body.response === "rejected");
}

const choice: Reader<CameraChoice> = (value, what) =>
  typeof value === "boolean" ? value : list(cameraName, 16)(value, what);

const wants: Reader<Wants> = (value, what) => {
  const from = fields(value, what);
  return {
    ...maybe(from, "video", choice),
    ...maybe(from, "audio", choice),
    ...maybe(from, "talk", flag),
    ...maybe(from, "channels", list(text(64), 16)),
  };
};

/** Whether nothing at all is asked for. */
export function wantsNothing(asked: Wants): boolean {
  const none = (value: CameraChoice | undefined) => value === undefined || value === false || (Array.isArray(value) && value.length === 0);
  return none(asked.video) && none(asked.audio) && asked.talk !== true && (asked.channels ?? []).length === 0;
}

const iceServer: Reader<IceServer> = (value, what) => {
  const from = fields(value, what);
  const urls: Reader<string | string[]> = (value, what) =>
    typeof value === "string" ? text(512)(value, what) : list(text(512), 8, 1)(value, what);
  return {
    urls: must(from, "urls", urls),
    ...maybe(from, "username", text(512, 0)),
    ...maybe(from, "credential", text(512, 0)),
  };
};

const candidate: Reader<Candidate> = (value, what) => {
  const from = fields(value, what);
  return {
    candidate: must(from, "candidate", text(1024, 0)),
    ...maybe(from, "sdpMid", text(64, 0)),
    ...maybe(from, "sdpMLineIndex", whole(0xffff)),
    ...maybe(from, "usernameFragment", text(256, 0)),
  };
};

const mid: Reader<Mid> = (value, what) => {
  const from = fields(value, what);
  return { camera: must(from, "camera", cameraName), kind: must(from, "kind", word("video", "audio")), ...maybe(from, "talk", flag) };
};

const node: Reader<NodeInfo> = (value, what) => {
  const from = fields(value, what);
  return {
    name: must(from, "name", text(64, 0)),
    boot: must(from, "boot", boot),
    version: must(from, "version", text(64)),
    ...maybe(from, "key", text(1024)),
  };
};

const detail: Reader<CameraDetail> = (value, what) => {
  const from = fields(value, what);
  return {
    state: must(from, "state", word("idle", "running", "private", "away", "failed")),
    ...maybe(from, "fault", text(32, 0)),
    ...maybe(from, "message", text(256, 0)),
  };
};

const camera: Reader<{ name: string; width: number; height: number; fps: number }> = (value, what) => {
  const from = fields(value, what);
  return {
    name: must(from, "name", cameraName),
    width: must(from, "width", whole(0xffff)),
    height: must(from, "height", whole(0xffff)),
    fps: must(from, "fps", whole(0xffff)),
  };
};

function status(from: Fields): Status {
  const read: Status = {
    type: "status",
    versions: must(from, "versions", list(whole(), 16, 1)),
    state: must(from, "state", word("online", "offline")),
    boot: must(from, "boot", boot),
    conn: must(from, "conn", whole(0xffff_ffff, 1)),
    ...maybe(from, "name", text(64, 0)),
    ...maybe(from, "cameras", list(camera, 64)),
    ...maybe(from, "access", word("open", "token")),
    ...maybe(from, "viewers", whole()),
    ...maybe(from, "state_detail", (value, what) => ({
      cameras: maybe(fields(value, what), "cameras", map(detail, 64, cameraName)).cameras ?? {},
      ...maybe(fields(value, what), "warnings", list(text(256, 0), 16)),
    })),
  };
  if (read.state === "online" && (read.cameras === undefined || read.access === undefined)) {
    throw new Unreadable("an online status says its cameras and access");
  }
  return read;
}

function callResponse(from: Fields): Body {
  const response = must(from, "response", word("accepted", "rejected"));
  if (response === "accepted") {
    return {
      type: "callResponse",
      response,
      ...maybe(from, "sdp", sdp),
      ...maybe(from, "mids", mids),
      nonce: must(from, "nonce", nonce),
      ...maybe(from, "wants", wants),
      ...maybe(from, "token", token),
    };
  }
  return {
    type: "callResponse",
    response,
    reason: must(from, "reason", word("busy", "declined", "timeout", "notAllowed", "unsupported")),
    ...maybe(from, "code", whole(0xffff)),
    ...maybe(from, "message", text(512, 0)),
    ...maybe(from, "retryAfter", whole()),
  };
}

const mids = map(mid, 64, text(1024, 0));
const registration = (from: Fields) => ({ name: must(from, "name", text(64)), ttl: must(from, "ttl", whole(3600, 1)) });

/** A reader for the body of each type. */
const BODIES: { readonly [T in MessageType]: (from: Fields) => Body } = {
  join: (from) => ({ type: "join", wants: must(from, "wants", wants), ...maybe(from, "token", token), nonce: must(from, "nonce", nonce) }),
  peer: (from) => ({
    type: "peer",
    iceServers: must(from, "iceServers", list(iceServer, 16)),
    node: must(from, "node", node),
    nonce: must(from, "nonce", nonce),
    ...maybe(from, "expires", whole()),
  }),
  offer: (from) => ({ type: "offer", sdp: must(from, "sdp", sdp), mids: must(from, "mids", mids) }),
  answer: (from) => ({ type: "answer", sdp: must(from, "sdp", sdp) }),
  ice: (from) => ({ type: "ice", candidates: must(from, "candidates", list(candidate, 64)), complete: must(from, "complete", flag) }),
  leave: (from) => ({
    type: "leave",
    reason: must(from, "reason", word("closed", "replaced", "expired", "limit", "shutdown", "failed")),
  }),
  ack: () => ({ type: "ack" }),
  ringing: () => ({ type: "ringing" }),
  unregister: () => ({ type: "unregister" }),
  unregistered: () => ({ type: "unregistered" }),
  probe: () => ({ type: "probe" }),
  error: (from) => ({
    type: "error",
    code: must(from, "code", whole(0xffff)),
    name: must(from, "name", text(64)),
    message: must(from, "message", text(512, 0)),
    ...maybe(from, "retryAfter", whole()),
    ...maybe(from, "versions", list(whole(), 16)),
  }),
  call: (from) => ({
    type: "call",
    ...maybe(from, "sdp", sdp),
    from: must(from, "from", id),
    ...maybe(from, "wants", wants),
    ...maybe(from, "token", token),
    nonce: must(from, "nonce", nonce),
  }),
  cancel: (from) => ({ type: "cancel", reason: must(from, "reason", word("closed", "timeout", "answered", "failed")) }),
  callResponse,
  register: (from) => ({ type: "register", ...registration(from), ...maybe(from, "token", token) }),
  registered: (from) => ({ type: "registered", ...registration(from) }),
  snapshot: (from) => ({
    type: "snapshot",
    ...maybe(from, "camera", cameraName),
    ...maybe(from, "width", whole(4_096, 16)),
    ...maybe(from, "maxBytes", whole(48_000, 4_096)),
    ...maybe(from, "token", token),
  }),
  picture: (from) => ({
    type: "picture",
    camera: must(from, "camera", cameraName),
    width: must(from, "width", whole(0xffff)),
    height: must(from, "height", whole(0xffff)),
    jpeg: must(from, "jpeg", jpeg),
  }),
  renew: (from) => ({ type: "renew", token: must(from, "token", token) }),
  status,
};

/** The body of `type` in `from`; `undefined` when the type is unknown. */
export function readBody(type: string, from: Fields): Body | undefined {
  return isKnown(type) && isFields(from) ? BODIES[type](from) : undefined;
}

function isKnown(type: string): type is MessageType {
  return Object.hasOwn(BODIES, type);
}
