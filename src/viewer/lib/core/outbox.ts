/** What a core wants done, in order, until it is asked for; and the way of messages to the node. */

import { ErrorBudget } from "./budget.ts";
import { type Message, writeMessage } from "./envelope.ts";
import type { Output } from "./io.ts";
import type { Topics } from "./topics.ts";

export class Outbox {
  /** Known once we have been connected; nothing is published before. */
  topics: Topics | undefined;
  private outputs: Output[] = [];
  private readonly errors = new ErrorBudget();
  private asks = 0;

  push(output: Output): void {
    this.outputs.push(output);
  }

  publish(message: Message | undefined, now: number): void {
    if (message === undefined || this.topics === undefined) return;
    if (message.body.type === "error" && !this.errors.take(now)) return;
    this.push({ type: "publish", topic: this.topics.toNode, payload: writeMessage(message) });
  }

  /** Asks for a token that no session has yet; gives the number by which the answer names it, below zero. */
  askToken(): number {
    this.asks -= 1;
    this.push({ type: "askToken", ask: this.asks });
    return this.asks;
  }

  take(): Output[] {
    return this.outputs.splice(0);
  }
}
