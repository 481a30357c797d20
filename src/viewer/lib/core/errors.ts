/** What can fail, as both sides name it: the table of `src/session/errors.json`, which a test holds this one to. */

import type { Failure } from "./message.ts";

/** One row of the table. */
export interface ErrorRow {
  /** The number that goes over the wire. */
  readonly code: number;
  /** A W3C DOMException name where one fits. */
  readonly name: string;
  /** For a person, when the other side sent none. */
  readonly message: string;
  /** Whether the same thing may work later. */
  readonly retry: boolean;
  /** Whether it ends the session. */
  readonly ends: boolean;
}

const row = (code: number, name: string, message: string, retry: boolean, ends: boolean): ErrorRow => ({
  code,
  name,
  message,
  retry,
  ends,
});

/** Every error by its slug. */
export const ERRORS = {
  badMessage: row(10, "SyntaxError", "The message could not be read.", false, false),
  unsupportedVersion: row(11, "NotSupportedError", "This protocol version is not spoken here.", false, true),
  unsupported: row(12, "NotSupportedError", "This kind of message is not supported here.", false, false),
  unknownSession: row(13, "InvalidStateError", "This session is not known here. Join again.", true, true),
  windowOverflow: row(14, "QuotaExceededError", "Too many messages came out of order or at once.", true, true),
  notAllowed: row(20, "NotAllowedError", "You are not allowed to do this.", false, true),
  tokenMissing: row(21, "NotAllowedError", "A token is needed to watch this camera.", false, true),
  tokenExpired: row(22, "NotAllowedError", "The token has expired.", false, true),
  tokenNotYetValid: row(23, "NotAllowedError", "The token is not valid yet.", true, true),
  clockUnknown: row(24, "InvalidStateError", "The camera does not know the time yet and cannot check tokens.", true, true),
  busy: row(25, "QuotaExceededError", "All places are taken.", true, true),
  rateLimited: row(26, "QuotaExceededError", "Too many requests. Wait a little.", true, false),
  nameTaken: row(27, "InvalidStateError", "Another peer has this name.", false, false),
  noSuchCamera: row(30, "NotFoundError", "There is no camera of this name.", false, true),
  cameraAway: row(31, "NotReadableError", "The camera is unplugged.", true, false),
  cameraFailed: row(32, "NotReadableError", "The camera has failed.", true, false),
  cameraShut: row(33, "InvalidStateError", "Somebody has shut the camera.", true, false),
  offerFailed: row(40, "OperationError", "The offer could not be made.", true, true),
  answerFailed: row(41, "OperationError", "The answer could not be made.", false, true),
  localDescriptionFailed: row(42, "OperationError", "The local description could not be set.", false, true),
  remoteDescriptionFailed: row(43, "OperationError", "The remote description could not be set.", false, true),
  noCommonCodec: row(44, "NotSupportedError", "The two sides share no codec.", false, true),
  iceFailed: row(45, "NetworkError", "No network path was found, or it was lost.", true, true),
  signallingLost: row(50, "NetworkError", "The other side no longer answers over the broker.", true, true),
  timedOut: row(51, "TimeoutError", "The other side took too long.", true, true),
  internal: row(59, "UnknownError", "Something went wrong inside.", true, true),
} as const;

/** An error's name in code. */
export type ErrorSlug = keyof typeof ERRORS;

/** The slug of a code; `undefined` for one of a later version. */
export function slugOf(code: number): ErrorSlug | undefined {
  const found = Object.entries(ERRORS).find(([, row]) => row.code === code);
  return found?.[0] as ErrorSlug | undefined;
}

/** A failure in the words of the table, `detail` for the other side's programmer. */
export function failureOf(slug: ErrorSlug, detail?: string): Failure {
  const row = ERRORS[slug];
  const message = (detail ?? row.message).slice(0, 512);
  return { type: "error", code: row.code, name: row.name, message, ...(slug === "unsupportedVersion" && { versions: [1] }) };
}
