/** What is known of a session's path beside what its connection tells: media, the network, and what somebody wants. */

import type { Input } from "./io.ts";
import type { Pulse } from "./pulse.ts";
import type { Session } from "./session.ts";

export function followPath(session: Session, pulse: Pulse, input: Extract<Input, { type: "media" | "networkChanged" | "restart" }>, online: boolean, now: number): void {
  switch (input.type) {
    case "networkChanged":
      session.networkChanged(now);
      break;
    case "restart":
      session.restart(now);
      break;
    case "media": {
      if (session.id !== input.session || (session.phase !== "connected" && session.phase !== "silent")) break;
      const isDead = pulse.isDead(input.bytes, online);
      if (pulse.isBeating) session.mediaFlow(now);
      else if (isDead && session.phase === "connected") session.lost(now, online);
      break;
    }
  }
}
