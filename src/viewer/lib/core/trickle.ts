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
  /** ICE user fragments of the other side's latest description, and of the one before it. */
  private generation = new Set<string>();
  private previous = new Set<string>();
  /** A description is on its way; candidates of an unknown generation wait for it. */
  private awaited = true;
  private waiting: Candidate[] = [];
  private waitingComplete = false;
  private ours: Candidate[] = [];
  private oursComplete = false;
  private lastSent: number | undefined;

  /** Another description of the other side is to come. */
  await(): void {
    this.awaited = true;
  }

  /** The other side's description has come; gives the candidates that waited for it. */
  describe(sdp: string): Usable | undefined {
    this.previous = this.generation;
    this.generation = userFragments(sdp);
    this.awaited = false;
    const ice: Ice = { type: "ice", candidates: this.waiting, complete: this.waitingComplete };
    this.forgetWaiting();
    return this.theirs(ice);
  }

  /** Whether this description of the other side begins another generation than the one there is. */
  isRestartedBy(sdp: string): boolean {
    const fragments = userFragments(sdp);
    return this.generation.size > 0 && (fragments.size !== this.generation.size || [...fragments].some((each) => !this.generation.has(each)));
  }

  /** The description that is awaited will not come. */
  takeBack(): void {
    if (!this.awaited) this.generation = this.previous;
    this.awaited = false;
    this.forgetWaiting();
  }

  /** Takes in the other side's candidates; gives those of the latest description, keeps those of one to come. */
  theirs(ice: Ice): Usable | undefined {
    const isCurrent = ({ usernameFragment: fragment }: Candidate): boolean =>
      fragment === undefined ? !this.awaited : this.generation.has(fragment);
    const candidates = ice.candidates.filter(isCurrent);
    if (this.awaited) {
      // Too many to wait are dropped: ICE lives with missing candidates, and memory does not live with endless ones.
      const others = ice.candidates.filter((each) => !isCurrent(each));
      this.waiting = [...this.waiting, ...others].slice(0, MAX_WAITING);
      this.waitingComplete ||= ice.complete;
    }
    const complete = ice.complete && !this.awaited;
    return candidates.length > 0 || complete ? { candidates, complete } : undefined;
  }

  /** A description of ours goes out: what was found before it stands in it, or is of an older generation. */
  restartOurs(): void {
    this.ours = [];
    this.oursComplete = false;
  }

  private forgetWaiting(): void {
    this.waiting = [];
    this.waitingComplete = false;
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
