/** What is answered to messages that belong to no session known here (PROTOCOL.md, sections 2 and 4). */

import type { Malformed, Message } from "./envelope.ts";
import { isLastWord } from "./message.ts";
import { failureOf } from "./errors.ts";

/** The answer to one that cannot be read; errors get none. */
export function answerToMalformed({ slug, message, session, seq, isError }: Malformed): Message | undefined {
  if (isError) return undefined;
  return { ...(session !== undefined && { session }), ...(seq !== undefined && { re: seq }), body: failureOf(slug, message) };
}

/** The answer to one of a session that is not known, if there is to be one. */
export function answerToStray({ session, seq, body }: Message): Message | undefined {
  const re = seq === undefined ? {} : { re: seq };
  if (seq === undefined || session === undefined) return undefined;
  if (isLastWord(body)) return { session, ack: seq, body: { type: "ack" } };
  return { session, ...re, body: failureOf("unknownSession") };
}
