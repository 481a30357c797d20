/** To whom a message of the node goes: to its session, to the doorbell, or to nobody, which is answered too. */

import type { Doorbell } from "./doorbell.ts";
import type { Incoming } from "./incoming.ts";
import type { Outbox } from "./outbox.ts";
import type { Sessions } from "./sessions.ts";
import { answerToMalformed, answerToStray } from "./stray.ts";

export function route(heard: Exclude<Incoming, { status: unknown }>, sessions: Sessions, doorbell: Doorbell, out: Outbox, now: number): void {
  if ("malformed" in heard) {
    const { malformed } = heard;
    const target = sessions.find(malformed.session);
    if (target !== undefined) target.handleMalformed(malformed, now);
    else if (!doorbell.takesMalformed(malformed, now)) out.publish(answerToMalformed(malformed), now);
    return;
  }
  const { message, bytes } = heard;
  const target = sessions.find(message.session);
  if (target !== undefined) target.handleMessage(message, bytes, now);
  else if (doorbell.takes(message, bytes, sessions.current?.isCall === true, now)) return;
  else if (message.body.type !== "error") out.publish(answerToStray(message), now);
  else out.push({ type: "error", slug: undefined, failure: message.body, session: message.session });
}
