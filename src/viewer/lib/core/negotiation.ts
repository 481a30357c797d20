/**
 * Whose offer is under way in one session. Offers of either side may cross; then the node gives way, and we do not (the
 * "impolite" side of the W3C's perfect negotiation).
 */

import type { Body } from "./message.ts";

type Offer = Extract<Body, { type: "offer" }>;

/** An offer of the node's. */
export interface Theirs {
  readonly seq: number;
  readonly offer: Offer;
}

type State =
  | { at: "stable" }
  /** Our connection makes an offer. */
  | { at: "making" }
  /** The node has our offer of this `seq`. */
  | { at: "offered"; seq: number }
  /** Our connection answers their offer of this `seq`. */
  | { at: "answering"; seq: number };

export class Negotiation {
  private state: State = { at: "stable" };
  /** An offer of ours is wanted as soon as theirs is answered. */
  private wanted = false;
  /** An offer of theirs that came while an earlier one is answered. */
  private next: Theirs | undefined;
  /** The highest `seq` of an offer of ours. */
  private latest = -1;

  get isMaking(): boolean {
    return this.state.at === "making";
  }

  get isOffered(): boolean {
    return this.state.at === "offered";
  }

  /** An offer of ours is wanted. Whether the connection is to make one now. */
  want(): boolean {
    if (this.state.at === "answering") this.wanted = true;
    if (this.state.at === "answering" || this.state.at === "making") return false;
    this.state = { at: "making" };
    return true;
  }

  /** Our offer went out as the message `seq`. */
  offered(seq: number): void {
    this.state = { at: "offered", seq };
    this.latest = seq;
  }

  /** Whether `re` names the offer of ours that waits for its answer. */
  awaits(re: number | undefined): boolean {
    return this.state.at === "offered" && this.state.seq === re;
  }

  /** Our offer came to nothing. */
  offerFailed(): void {
    if (this.state.at === "making" || this.state.at === "offered") this.state = { at: "stable" };
  }

  /** The node answers the message `re`. */
  answered(re: number | undefined): "accept" | "late" | "nothing" {
    if (this.awaits(re)) {
      this.state = { at: "stable" };
      return "accept";
    }
    return re !== undefined && re <= this.latest ? "late" : "nothing";
  }

  /** The node offers; `restarts` if with new ICE credentials, which makes a restart of ours needless. */
  theirs(theirs: Theirs, restarts: boolean): "answer" | "wait" | "ignore" {
    switch (this.state.at) {
      case "making":
      case "offered":
        return "ignore";
      case "answering":
        if (restarts) this.wanted = false;
        this.next = theirs;
        return "wait";
      case "stable":
        this.state = { at: "answering", seq: theirs.seq };
        return "answer";
    }
  }

  /** The connection has answered. The `seq` of the offer, if one was to be answered. */
  answerMade(): number | undefined {
    if (this.state.at !== "answering") return undefined;
    const { seq } = this.state;
    this.state = { at: "stable" };
    return seq;
  }

  /** The next offer of theirs to be answered. */
  takeNext(): Theirs | undefined {
    const { next } = this;
    this.next = undefined;
    if (next !== undefined) this.state = { at: "answering", seq: next.seq };
    return next;
  }

  /** Whether an offer of ours that had to wait is to be made now. */
  takeWanted(): boolean {
    if (this.state.at !== "stable" || !this.wanted) return false;
    this.wanted = false;
    return this.want();
  }
}
