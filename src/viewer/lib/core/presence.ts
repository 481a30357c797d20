/** Whether the node is there, from its status messages, which may come late, twice or out of order. */

import type { Status } from "./message.ts";

/** Boots that are over; a late message of one of them counts for nothing. Bounded, a node restarts seldom. */
const MAX_PAST_BOOTS = 16;

/** What a status changed. */
export type Change =
  /** It says nothing new. */
  | "none"
  | "online"
  | "offline"
  /** Online, and another run of the program than the one we knew. */
  | "rebooted";

export class Presence {
  /** The latest status that counts. */
  status: Status | undefined;
  /** Whether it has said farewell or has not answered, and not been heard of since. */
  absent = false;
  /** Whether that was a farewell: then its old messages may still be around. */
  private gone = false;
  private pastBoots: string[] = [];

  /** Whether it is known to be there. */
  get online(): boolean {
    return this.status?.state === "online" && !this.absent;
  }

  /** Takes a status in. */
  handle(status: Status): Change {
    const known = this.status;
    if (this.pastBoots.includes(status.boot)) return "none";
    const sameBoot = known?.boot === status.boot;
    if (known !== undefined) {
      // An offline counts only for the latest connection of the run we know: anything else is an old will.
      if (sameBoot && status.conn < known.conn) return "none";
      if (!sameBoot && status.state === "offline" && known.state === "online") return "none";
      // After its farewell only a new run or a new connection brings a node back; an old online may still be around.
      if (sameBoot && this.gone && status.state === "online" && status.conn <= known.conn) return "none";
    }
    const wasOnline = this.online;
    if (known !== undefined && !sameBoot) this.pastBoots = [...this.pastBoots, known.boot].slice(-MAX_PAST_BOOTS);
    this.absent = this.gone = false;
    this.status = status;
    if (status.state === "offline") return wasOnline || known === undefined ? "offline" : "none";
    if (known !== undefined && !sameBoot) return "rebooted";
    return wasOnline ? "none" : "online";
  }

  /** The node has said that it shuts down. */
  farewell(): void {
    this.absent = this.gone = true;
  }

  /** It has not answered. */
  unanswered(): void {
    this.absent = true;
  }
}
