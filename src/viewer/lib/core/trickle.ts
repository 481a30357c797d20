/** Candidates on their way: the other side's wait for its description, ours are gathered into few messages. */

import type { Body, Candidate } from "./message.ts";

type Ice = Extract<Body, { type: "ice" }>;

/** Our candidates go out at most this often, so that a burst of them is one message. */
const BATCH_MS = 100;
/** Candidates in one message at most. */
const MAX_CANDIDATES = 64;
/** Candidates that wait for their description at most; a node finds a few dozen. */
const MAX_WAITING = 128;

/** Candidates that can be given to the connection. */
export interface Usable {
  candidates: Candidate[];
  /** No more will come in this generation. */
  complete: boolean;
}

/** The candidates of one session, both ways. */
export class Trickle {
  /** ICE user fragments of the other side's latest description. */
  private generation = new Set<string>();
  private described = false;
  private waiting: Candidate[] = [];
  private waitingComplete = false;
  private ours: Candidate[] = [];
  private oursComplete = false;
  private lastSent: number | undefined;

  /** The other side's description has come; gives the candidates that waited for it. */
  describe(sdp: string): Usable | undefined {
    this.generation = userFragments(sdp);
    this.described = true;
    const ice: Ice = { type: "ice", candidates: this.waiting, complete: this.waitingComplete };
    this.waiting = [];
    this.waitingComplete = false;
    return this.theirs(ice);
  }

  /** Takes in the other side's candidates; gives those of the latest description, keeps those of one to come. */
  theirs(ice: Ice): Usable | undefined {
    if (!this.described) {
      // Too many to wait are dropped: ICE lives with missing candidates, and memory does not live with endless ones.
      this.waiting = [...this.waiting, ...ice.candidates].slice(0, MAX_WAITING);
      this.waitingComplete ||= ice.complete;
      return undefined;
    }
    const candidates = ice.candidates.filter(
      ({ usernameFragment: fragment }) => fragment === undefined || this.generation.has(fragment),
    );
    return candidates.length > 0 || ice.complete ? { candidates, complete: ice.complete } : undefined;
  }

  /** A description of ours goes out: what was found before it stands in it, or is of an older generation. */
  restartOurs(): void {
    this.ours = [];
    this.oursComplete = false;
  }

  /** We have found candidates. */
  found(candidates: Candidate[], complete: boolean): void {
    this.ours.push(...candidates);
    this.oursComplete ||= complete;
  }

  /** The next `ice` message to send. */
  poll(now: number): Ice | undefined {
    const due = this.pollTimeout();
    if (due === undefined || due > now) return undefined;
    this.lastSent = now;
    const candidates = this.ours.splice(0, MAX_CANDIDATES);
    const complete = this.ours.length === 0 && this.oursComplete;
    if (complete) this.oursComplete = false;
    return { type: "ice", candidates, complete };
  }

  /** When {@link poll} will have something to send. */
  pollTimeout(): number | undefined {
    if (!this.oursComplete && this.ours.length === 0) return undefined;
    return this.lastSent === undefined ? 0 : this.lastSent + BATCH_MS;
  }
}

/** The ICE user fragments of a description (RFC 8839, 5.4). */
function userFragments(sdp: string): Set<string> {
  const found = new Set<string>();
  for (const line of sdp.split(/\r?\n/)) {
    // 256 is the longest there may be; a description has few sections, and fewer generations.
    const fragment = line.startsWith("a=ice-ufrag:") ? line.slice("a=ice-ufrag:".length).trim() : "";
    if (fragment !== "" && fragment.length <= 256 && found.size < 64) found.add(fragment);
  }
  return found;
}
