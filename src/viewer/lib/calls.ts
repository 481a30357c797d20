/** A call of the node, as an application answers it. */

import { RINGS_HERE_MS } from "./core/call.ts";
import type { Status } from "./core/message.ts";

/** What can be done about a call. */
export interface Answers {
  accept(): void;
  decline(reason: "declined" | "busy"): void;
}

/** The node calls: somebody stands at the door. It ends with {@link accept}, {@link decline}, or by itself. */
export class IncomingCall {
  /** The node's name for people, or its id. */
  readonly node: string;
  /** The names of its cameras. */
  readonly cameras: readonly string[];
  /** When it stops ringing here at the latest, as `Date.now()` counts; whoever calls mostly gives up earlier. */
  readonly endsAt = Date.now() + RINGS_HERE_MS;

  /** @internal */
  constructor(
    /** The session it will be when it is accepted; the camera's `call` events name it. */
    readonly session: string,
    /** The node's id. */
    readonly from: string,
    status: Status | undefined,
    private readonly answers: Answers,
  ) {
    this.node = status?.name ?? from;
    this.cameras = (status?.cameras ?? []).map(({ name }) => name);
  }

  /** Milliseconds until {@link endsAt}. */
  get timeLeftMs(): number {
    return Math.max(0, this.endsAt - Date.now());
  }

  /** Answers it: the camera goes `live`, and stays until it is stopped. Somebody else may have been quicker. */
  accept(): void {
    this.answers.accept();
  }

  /** Says no, to this call alone; with `busy`, because of something else that is going on. */
  decline(reason: "declined" | "busy" = "declined"): void {
    this.answers.decline(reason);
  }
}
