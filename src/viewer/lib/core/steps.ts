/** What both sides log of a session (PROTOCOL.md, sections 5 and 7). */

/** The steps of a session and of a call; the node logs the same words, so that the two logs can be laid side by side. */
export type Step =
  | "join"
  | "call"
  | "ringing"
  | "accepted"
  | "peer"
  | "opening"
  | "offer"
  | "answer"
  | "ice"
  | "connected"
  | "silent"
  | "recovered"
  | "leave"
  | "failed"
  | "refused"
  | "rejected"
  | "cancelled"
  | "rebooted";
