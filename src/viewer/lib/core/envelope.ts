/** One message as it goes over the broker: the envelope around a body, read strictly and written in one way. */

import type { ErrorSlug } from "./errors.ts";
import type { Body, MessageType, Status } from "./message.ts";
import { readBody, sessionId, wantsNothing } from "./message.ts";
import type { Fields } from "./read.ts";
import { isFields, maybe, Unreadable, whole } from "./read.ts";

/** The protocol version that is spoken. */
export const VERSION = 1;
/** The largest message that is read or written. */
export const MAX_MESSAGE_BYTES = 64 * 1024;

/** One message. */
export interface Message {
  /** Absent for presence and registration. */
  session?: string;
  /** Its place in what its sender says in that session. */
  seq?: number;
  /** The highest `seq` that its sender has received in order. */
  ack?: number;
  /** The request it answers. */
  re?: number;
  body: Body;
}

/** A message that cannot be read, with what is needed to answer it. */
export class Malformed extends Error {
  constructor(
    readonly slug: ErrorSlug,
    detail: string,
    readonly session?: string,
    readonly seq?: number,
    /** It must not be answered, being an error itself. */
    readonly isError = false,
  ) {
    super(detail.slice(0, 200));
    this.name = "Malformed";
  }
}

/** Bytes of a text in UTF-8. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

/**
 * Reads one message.
 * @throws {Malformed} with the error that answers it.
 */
export function readMessage(payload: string): Message {
  return read(payload, undefined);
}

/**
 * Reads what stands on a status topic, where `type` may be missing.
 * @throws {Malformed} also when it is some other message.
 */
export function readStatus(payload: string): Status {
  const message = read(payload, "status");
  if (message.body.type === "status") return message.body;
  throw new Malformed("badMessage", `a ${message.body.type} on the status topic`, message.session, message.seq, message.body.type === "error");
}

/** The message as it goes out. */
export function writeMessage({ body, ...envelope }: Message): string {
  const { type, ...said } = body;
  return JSON.stringify({ v: VERSION, type, ...envelope, ...said });
}

function read(payload: string, defaultType: MessageType | undefined): Message {
  if (payload.length > MAX_MESSAGE_BYTES || byteLength(payload) > MAX_MESSAGE_BYTES) {
    throw new Malformed("badMessage", `more than ${MAX_MESSAGE_BYTES} bytes`);
  }
  let from: unknown;
  try {
    from = JSON.parse(payload);
  } catch {
    throw new Malformed("badMessage", "no JSON");
  }
  if (!isFields(from)) throw new Malformed("badMessage", "not a JSON object");
  try {
    return fromFields(from, defaultType);
  } catch (error) {
    const slug = error instanceof Refused ? error.slug : "badMessage";
    const detail = error instanceof Unreadable ? error.message : "unreadable";
    throw new Malformed(slug, detail, quietly(from, "session"), quietly(from, "seq"), from["type"] === "error");
  }
}

/** A message that is no mistake in itself, but not for us. */
class Refused extends Unreadable {
  constructor(
    readonly slug: ErrorSlug,
    detail: string,
  ) {
    super(detail);
  }
}

function fromFields(from: Fields, defaultType: MessageType | undefined): Message {
  const version = from["v"];
  if (typeof version !== "number" || !Number.isInteger(version) || version < 0) throw new Unreadable("v is not a version's number");
  if (version !== VERSION) throw new Refused("unsupportedVersion", `version ${version}`);
  const type = from["type"] ?? defaultType;
  if (typeof type !== "string") throw new Unreadable("type is missing or not a string");
  const envelope = {
    ...maybe(from, "session", sessionId),
    ...maybe(from, "seq", whole()),
    ...maybe(from, "ack", whole()),
    ...maybe(from, "re", whole()),
  };
  const body = readBody(type, from);
  if (body === undefined) throw new Refused("unsupported", `unknown type ${type.slice(0, 32)}`);
  const message = { ...envelope, body };
  const missing = whatIsMissing(message);
  if (missing !== undefined) throw new Unreadable(`a ${body.type} ${missing}`);
  return message;
}

const OUTSIDE_SESSIONS: readonly MessageType[] = ["error", "register", "registered", "unregister", "unregistered", "snapshot", "picture", "probe", "status"];
const REPLIES: readonly MessageType[] = ["answer", "callResponse", "registered", "unregistered", "picture"];

/** What its type asks of its envelope and is not there. */
function whatIsMissing({ session, seq, ack, re, body }: Message): string | undefined {
  const inSession = !OUTSIDE_SESSIONS.includes(body.type);
  const numbered = (inSession && body.type !== "ack") || ["register", "unregister", "snapshot"].includes(body.type);
  if (inSession && session === undefined) return "without session";
  if ("wants" in body && wantsNothing(body.wants)) return "that wants nothing";
  if (body.type === "ack" && ack === undefined) return "without ack";
  if (numbered && seq === undefined) return "without seq";
  if ((body.type === "join" || body.type === "call") && seq !== 0) return "whose seq is not 0";
  if (REPLIES.includes(body.type) && re === undefined) return "without re";
  return undefined;
}

function quietly(from: Fields, key: "session"): string | undefined;
function quietly(from: Fields, key: "seq"): number | undefined;
function quietly(from: Fields, key: "session" | "seq"): string | number | undefined {
  try {
    return key === "session" ? maybe(from, key, sessionId).session : maybe(from, key, whole()).seq;
  } catch {
    return undefined;
  }
}
