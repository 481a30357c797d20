/** The descriptions and candidates of one session, both ways, and the mending of its path. */

import type { Delivery } from "./delivery.ts";
import type { Message } from "./envelope.ts";
import { failureOf } from "./errors.ts";
import { Mending } from "./mending.ts";
import type { Body, Candidate } from "./message.ts";
import { Negotiation, type Theirs } from "./negotiation.ts";
import type { PeerCommand } from "./port.ts";
import type { SessionOutput } from "./session.ts";
import type { Step } from "./steps.ts";
import { Trickle, type Usable } from "./trickle.ts";

type Ice = Extract<Body, { type: "ice" }>;

export class Talks {
  private readonly negotiation = new Negotiation();
  private readonly mending = new Mending();
  private readonly trickle = new Trickle();

  constructor(
    private readonly delivery: Delivery,
    /** Takes what is to be done. */
    private readonly out: (output: SessionOutput) => void,
  ) {}

  /** Restarts ICE by an offer of ours, as soon as that can be. One on its way is as good, unless its addresses are of before. */
  restart(now: number): void {
    if (this.negotiation.isOffered && !this.mending.networkHasChanged) {
      this.mending.waitMore(now);
      return;
    }
    this.mending.tried(now);
    if (this.negotiation.want()) this.command({ do: "restart" });
  }

  /** Our connection has made its offer. */
  offerMade(sdp: string, now: number): void {
    if (!this.negotiation.isMaking) return;
    this.negotiation.offered(this.delivery.send({ type: "offer", sdp, mids: {} }, undefined, now));
    this.trickle.restartOurs();
    this.trickle.await();
    this.step("offer", "out");
  }

  theirOffer(theirs: Theirs, now: number): void {
    const restarts = this.trickle.isRestartedBy(theirs.offer.sdp);
    const what = this.negotiation.theirs(theirs, restarts);
    if (what === "ignore") return;
    this.step("offer", "in");
    if (what === "wait") this.trickle.await();
    else this.answer(theirs);
    if (restarts) this.mending.tried(now);
  }

  /** Our connection has made its answer; whether there was anything to answer. */
  answerMade(sdp: string, now: number): boolean {
    const re = this.negotiation.answerMade();
    if (re === undefined) return false;
    this.delivery.send({ type: "answer", sdp }, re, now);
    this.trickle.restartOurs();
    this.step("answer", "out");
    this.mending.answered(now);
    const next = this.negotiation.takeNext();
    if (next !== undefined) this.answer(next);
    else if (this.negotiation.takeWanted()) this.command({ do: "restart" });
    return true;
  }

  theirAnswer(sdp: string, { re, seq }: Message, now: number): void {
    const worth = this.negotiation.answered(re);
    if (worth === "nothing") this.delivery.sendError(failureOf("badMessage", "an answer to no offer"), seq);
    if (worth !== "accept") return;
    this.step("answer", "in");
    this.mending.answered(now);
    this.command({ do: "accept", sdp });
    this.use(this.trickle.describe(sdp));
  }

  /** The node does not take the message `re`: if that was our offer, it counts as never made. */
  theirError(re: number | undefined): void {
    if (!this.negotiation.awaits(re)) return;
    this.negotiation.offerFailed();
    this.trickle.takeBack();
    this.command({ do: "rollback" });
  }

  theirCandidates(ice: Ice): void {
    this.step("ice", "in", candidateCount(ice));
    this.use(this.trickle.theirs(ice));
  }

  found(candidates: Candidate[], complete: boolean): void {
    this.trickle.found(candidates, complete);
  }

  /** Sends what has been found. */
  sendCandidates(now: number): void {
    const ice = this.trickle.poll(now);
    if (ice === undefined) return;
    this.delivery.send(ice, undefined, now);
    this.step("ice", "out", candidateCount(ice));
  }

  candidatesDue(): number | undefined {
    return this.trickle.pollTimeout();
  }

  /** Nothing is heard over the path any more; `forGood` if it will not mend by itself. */
  lost(now: number, forGood: boolean): void {
    this.mending.lost(now);
    if (forGood) this.mending.hurry(now);
  }

  mended(now: number): void {
    this.mending.mended(now);
  }

  networkChanged(now: number): void {
    this.mending.networkChanged(now);
  }

  /** When {@link restart} is due to mend a lost path. */
  restartDue(): number | undefined {
    return this.mending.due;
  }

  private answer({ offer }: Theirs): void {
    this.command({ do: "answer", sdp: offer.sdp, mids: offer.mids });
    this.use(this.trickle.describe(offer.sdp));
  }

  private command(command: PeerCommand): void {
    this.out({ type: "peer", command });
  }

  private step(step: Step, direction: "in" | "out", detail?: string): void {
    this.out({ type: "step", step, direction, ...(detail !== undefined && { detail }) });
  }

  private use(usable: Usable | undefined): void {
    if (usable !== undefined) this.command({ do: "addCandidates", ...usable });
  }
}

function candidateCount(ice: { candidates: unknown[]; complete: boolean }): string {
  return `${ice.candidates.length}${ice.complete ? ", complete" : ""}`;
}
