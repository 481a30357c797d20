/** What has come over the broker, read. */

import { byteLength, Malformed, type Message, readMessage, readStatus } from "./envelope.ts";
import type { Input } from "./io.ts";
import type { Status } from "./message.ts";
import type { Topics } from "./topics.ts";

export type Incoming = { status: Status } | { message: Message; bytes: number } | { malformed: Malformed };

/** Reads what is for us; `undefined` for what counts for nothing. */
export function readIncoming(topics: Topics | undefined, { topic, payload, retain }: Extract<Input, { type: "message" }>): Incoming | undefined {
  const isStatus = topic === topics?.status;
  // An empty retained message is one that has been cleared away.
  if (isStatus ? payload === "" : topic !== topics?.toPeer || retain) return undefined;
  try {
    if (isStatus) return { status: readStatus(payload) };
    const message = readMessage(payload);
    return message.body.type === "status" ? { status: message.body } : { message, bytes: byteLength(payload) };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return isStatus ? undefined : { malformed: error };
  }
}
