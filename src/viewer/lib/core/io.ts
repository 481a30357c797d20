/** What the viewer's core is told, and what it wants done. */

import type { CallState } from "./doorbell.ts";
import type { ErrorSlug } from "./errors.ts";
import type { Failure, Status, Wants } from "./message.ts";
import type { PeerCommand, PeerEvent } from "./session.ts";
import type { LinkProblem, Reason, ViewerState } from "./state.ts";
import type { Step } from "./steps.ts";

/** What the viewer is to watch. */
export interface ViewerConfig {
  readonly prefix: string;
  readonly node: string;
  readonly wants: Wants;
  readonly token?: string | undefined;
  /** Instead: one is asked for before each session, and again before it ends. */
  readonly asksForToken?: boolean;
}

/** What happened. */
export type Input =
  | { type: "start" }
  | { type: "stop" }
  /** Connected to the broker as `peer`, subscriptions acknowledged. */
  | { type: "linkUp"; peer: string }
  /** `said` is what whoever met the problem said of it. */
  | { type: "linkDown"; problem: LinkProblem; said?: string }
  | { type: "message"; topic: string; payload: string; retain: boolean }
  /** The connection of `session` reports. */
  | { type: "peer"; session: string; event: PeerEvent }
  /** Bytes of media received so far by the connection, about once a second while there should be any. */
  | { type: "media"; session: string; bytes: number }
  /** The network this machine is on has changed. */
  | { type: "networkChanged" }
  /** Somebody wants a new path. */
  | { type: "restart" }
  /** The token that was asked for, if there is to be one; good for so long, if it says so. */
  | { type: "token"; ask: number; token: string | undefined; lifeMs: number | undefined }
  | { type: "noToken"; ask: number; said: string }
  /**
   * The page has been in the background, or the network has changed: what was there may be gone. The clock may have stood
   * still meanwhile, so the token's remaining life comes along.
   */
  | { type: "wake"; lifeMs?: number | undefined }
  /** To be called by the node, under this name. */
  | { type: "register"; name: string }
  | { type: "unregister" }
  /** Calls the node, and gives up after so long. */
  | { type: "call"; ringMs?: number }
  | { type: "accept"; session: string }
  | { type: "decline"; session: string; reason: "declined" | "busy" }
  /** Wants a still picture; the answer names `ask`. */
  | { type: "snapshot"; ask: number; camera?: string; width?: number; maxBytes?: number }
  /** Gives up a call of ours, or one that has been accepted and is no session yet. */
  | { type: "hangUp" };

/** Whether the node will call us. */
export interface RegistrationState {
  /** `pending` while node or broker cannot be reached; `refused` says why. */
  readonly state: "off" | "pending" | "on" | "refused";
  /** The name we are registered by, or want to be; absent where we do not. */
  readonly name?: string;
  /** With `refused`: why. */
  readonly reason?: Reason;
  /** What whoever refused it said of it. */
  readonly said?: string;
}

/** One step of the protocol. */
export interface ProtocolEvent {
  /** In the clock of the core. */
  readonly at: number;
  /** Which step. */
  readonly name: Step;
  /** The id of the session or call that it is a step of. */
  readonly session: string;
  /** Who said it: the node (`in`) or we (`out`); absent where nobody did. */
  readonly direction?: "in" | "out";
  /** More of it, for logs: a reason, an error. */
  readonly detail?: string;
}

/** What to do. */
export type Output =
  /** Connect to the broker; an older connection is over. */
  | { type: "connect" }
  /** Close what there is of a connection; unless that is for good, another one is wanted soon. */
  | { type: "disconnect"; forGood: boolean }
  /** Get a token; the answer names `ask`, which is below zero for one that no session has yet. */
  | { type: "askToken"; ask: number }
  | { type: "publish"; topic: string; payload: string }
  | { type: "peer"; session: string; command: PeerCommand }
  | { type: "event"; event: ProtocolEvent }
  | { type: "state"; state: ViewerState }
  /** What has become of a call. */
  | { type: "call"; call: CallState }
  | { type: "registration"; registration: RegistrationState }
  /** A still picture, in base64, or why there is none. */
  | { type: "snapshot"; ask: number; picture: { camera: string; width: number; height: number; jpeg: string } }
  | { type: "snapshot"; ask: number; failure: Failure }
  /** The node's status has changed. */
  | { type: "status"; status: Status }
  | { type: "error"; slug: ErrorSlug | undefined; failure: Failure; session: string | undefined };
