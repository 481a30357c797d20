/** What a person is told: one of six states, why, and since the sentences depend on both, nothing else. */

import type { ErrorSlug } from "./errors.ts";

/** The six states of a {@link Camera}. */
export type StateName = "idle" | "connecting" | "waiting" | "live" | "lost" | "refused";

/** Why the connection to the broker could not be made or was lost. */
export type LinkProblem =
  /** Nobody answers at the address, or the browser forbids the connection. */
  | "unreachable"
  /** It was there and went. */
  | "lost"
  /** The broker does not accept the user name or password. */
  | "unauthorized"
  /** The broker does not allow the topics. */
  | "topicsRefused"
  /** The address is none that a browser could connect to. */
  | "badAddress"
  /** A page from https:// may only use wss://. */
  | "insecure"
  /** No address or credentials for the broker could be had: `connect` failed. */
  | "noAddress"
  /** The way to the broker has to be signed, which takes WebCrypto, and the browser gives none to this page. */
  | "noCrypto"
  /** There is no use in a broker: this browser has no WebRTC. */
  | "noWebRtc";

/** Why a state is what it is. */
export type Reason =
  | "stopped"
  | "broker"
  | "node"
  | "join"
  | "call"
  | "token"
  | "noToken"
  | "brokerAway"
  | "nodeOffline"
  /** Pictures have stopped, and the broker says that the node is offline; the session may still come back. */
  | "nodeAway"
  | "nodeRestarted"
  | "live"
  | "silent"
  | "network"
  | "replaced"
  | "closed"
  /** The node has hung up; with `idle`, for nothing goes on by itself. */
  | "hungUp"
  | "expired"
  | "limit"
  | Exclude<LinkProblem, "lost">
  | ErrorSlug;

/** The state of a viewer. */
export interface ViewerState {
  /** Which of the six. */
  readonly state: StateName;
  /** Why it is that one. */
  readonly reason: Reason;
  /** When the next try begins, in the clock of the core; absent when there is none, or it is under way. */
  readonly retryAt?: number;
  /** Why the last session ended, while the next one of a row of tries is under way. */
  readonly tried?: Reason;
  /** What the node said itself, for details. */
  readonly said?: string;
  /** Live, while the broker is away: pictures go on, nothing else can be changed. */
  readonly brokerAway?: boolean;
}
