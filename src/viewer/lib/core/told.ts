/** What the outside is told of what a session wants done. */

import type { Output } from "./io.ts";
import type { SessionOutput } from "./session.ts";

export function outputOf(session: string, output: Exclude<SessionOutput, { type: "ended" }>, now: number): Output {
  switch (output.type) {
    case "peer":
      return { ...output, session };
    case "step": {
      const { step, direction, detail } = output;
      const more = { ...(direction && { direction }), ...(detail !== undefined && { detail }) };
      return { type: "event", event: { at: now, name: step, session, ...more } };
    }
    case "notice":
      return { type: "error", slug: undefined, failure: output.failure, session };
  }
}
