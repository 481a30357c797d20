/** From all that the viewer knows to the one state a person is told. */

import type { Retry } from "./retry.ts";
import type { Phase } from "./session.ts";
import type { LinkProblem, ViewerState } from "./state.ts";

interface Known {
  readonly started: boolean;
  readonly link: {
    readonly up: boolean;
    readonly wasUp: boolean;
    readonly problem: LinkProblem | undefined;
    readonly said: string | undefined;
    readonly retryAt: number | undefined;
  };
  /** Whether anything is known about the node. */
  readonly known: boolean;
  readonly online: boolean;
  readonly phase: Phase | undefined;
  /** Whether a call of ours, or one that has been accepted, is about to be a session. */
  readonly calls: boolean;
  /** Whether a session waits for its token. */
  readonly asking: boolean;
  readonly retry: Retry;
}

/** Tells each state once. */
export class Telling {
  private told = "";

  /** The state, if it is another than the last. */
  news(known: Known): ViewerState | undefined {
    const state = describe(known);
    const told = JSON.stringify(state);
    if (told === this.told) return undefined;
    this.told = told;
    return state;
  }
}

export function describe({ started, link, known, online, phase, calls, asking, retry }: Known): ViewerState {
  if (!started && !calls) return { state: "idle", reason: retry.cause?.kind === "ended" && retry.cause.state === "idle" ? retry.cause.reason : "stopped" };
  if (phase === "connected") return { state: "live", reason: "live", ...(!link.up && { brokerAway: true }) };
  if (!link.up) {
    const retryAt = link.retryAt === undefined ? {} : { retryAt: link.retryAt };
    switch (link.problem) {
      case "unauthorized":
      case "topicsRefused":
      case "badAddress":
      case "insecure":
      case "noAddress":
      case "noCrypto":
      case "noWebRtc":
        return { state: "refused", reason: link.problem, ...retryAt, ...(link.said !== undefined && { said: link.said }) };
      case "unreachable":
      case "lost":
        if (phase === "silent") return { state: "lost", reason: "network", ...retryAt };
        return { state: "waiting", reason: link.wasUp ? "brokerAway" : "unreachable", ...retryAt };
      case undefined:
        return { state: "connecting", reason: "broker" };
    }
  }
  // A session outlives its node's broker connection; both gone, the node is.
  if (phase === "silent") return { state: "lost", reason: known && !online ? "nodeAway" : "silent" };
  if (phase === "closing") return { state: "lost", reason: "closed" };
  const { cause, at } = retry;
  // What the last try has come to is true until the next one has come to something.
  const tried = cause?.kind === "ended" && cause.state !== "idle" ? { tried: cause.reason } : {};
  if (phase !== undefined && phase !== "ended") return { state: "connecting", reason: "join", ...tried };
  if (calls) return { state: "connecting", reason: "call" };
  if (asking) return { state: "connecting", reason: "token" };
  const retryAt = at === undefined ? {} : { retryAt: at };
  if (cause?.kind === "ended" && (online || at === undefined)) {
    return { state: cause.state, reason: cause.reason, ...retryAt, ...(cause.said !== undefined && { said: cause.said }) };
  }
  if (!known) return { state: "connecting", reason: "node" };
  if (!online) return { state: "waiting", reason: "nodeOffline" };
  if (cause?.kind === "rebooted") return { state: "waiting", reason: "nodeRestarted", ...retryAt };
  return { state: "connecting", reason: "join" };
}
