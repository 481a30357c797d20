/** What a browser keeps of a person's wishes, for each camera. Pure. */

import type { Settings } from "./settings.ts";

/** The part of `localStorage` that is needed here. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem" | "removeItem">;

/** One wish. */
export interface Kept {
  readonly get: () => string | undefined;
  readonly set: (value: string | undefined) => void;
}

/** The wish of this name. Storage may be forbidden; then it holds for as long as the page is open. */
export function kept(what: string, { broker, prefix, node }: Settings, storage: () => Storage): Kept {
  const key = `camera-node.${what} ${JSON.stringify([broker, prefix ?? "", node])}`;
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch {
      return undefined;
    }
  };
  return {
    get: () => attempt(() => storage().getItem(key)) ?? undefined,
    set: (value) => {
      attempt(() => {
        if (value === undefined) storage().removeItem(key);
        else storage().setItem(key, value);
      });
    },
  };
}
