/** A clock that goes when the test says so. */

import type { Later } from "../page/later.ts";

export class Hourglass {
  private now = 0;
  private acts: { readonly at: number; readonly act: () => void }[] = [];

  /** What the page is given in place of the browser's. */
  readonly later: Later = (act, ms) => {
    const one = { at: this.now + ms, act };
    this.acts.push(one);
    return () => {
      this.acts = this.acts.filter((each) => each !== one);
    };
  };

  /** How much is still to come. */
  get waiting(): number {
    return this.acts.length;
  }

  /** So much later: what is due is done, the earliest first. */
  pass(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      const [next] = this.acts.filter(({ at }) => at <= end).sort((one, other) => one.at - other.at);
      if (next === undefined) break;
      this.acts = this.acts.filter((each) => each !== next);
      this.now = next.at;
      next.act();
    }
    this.now = end;
  }
}
