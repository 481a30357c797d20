/** What a session asks of its connection, and what that reports. */

import type { ErrorSlug } from "./errors.ts";
import type { Candidate, IceServer, Mid } from "./message.ts";

/** What the connection is to do; each names its session, in order. */
export type PeerCommand =
  | { do: "open"; iceServers: IceServer[] }
  | { do: "configure"; iceServers: IceServer[] }
  | { do: "answer"; sdp: string; mids: Record<string, Mid> }
  /** Offer with new ICE credentials. */
  | { do: "restart" }
  /** The node's answer to that. */
  | { do: "accept"; sdp: string }
  /** The node does not take our offer: everything is as before it. */
  | { do: "rollback" }
  | { do: "addCandidates"; candidates: Candidate[]; complete: boolean }
  | { do: "close" };

/** What the connection reports. */
export type PeerEvent =
  | { type: "answered"; sdp: string }
  | { type: "offered"; sdp: string }
  | { type: "candidates"; candidates: Candidate[]; complete: boolean }
  | { type: "connected" }
  | { type: "silent" }
  | { type: "recovered" }
  | { type: "closed" }
  | { type: "failed"; step: ErrorSlug; message: string };
