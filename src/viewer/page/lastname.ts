/** What a camera is called for people. Pure. */

import type { Status } from "../lib/index.ts";
import type { Kept } from "./kept.ts";

/**
 * The last name that the node has told. What the broker says for a node that is gone has none: whoever is not there
 * is called as before, also by a page that opens only then.
 */
export class LastName {
  private name: string | undefined;

  constructor(
    private readonly node: string,
    private readonly kept: Kept,
  ) {
    this.name = kept.get();
  }

  /** Takes a status in. A node that is there and tells no name has none any more. */
  hear({ state, name }: Pick<Status, "state" | "name">): void {
    if (name === this.name || (name === undefined && state === "offline")) return;
    this.name = name;
    this.kept.set(name);
  }

  /** The name, and the node's id while none was ever told. */
  get shown(): string {
    return this.name ?? this.node;
  }
}
