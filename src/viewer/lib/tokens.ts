/** The application's tokens, as the core wants them. */

import { endOfToken } from "./core/token.ts";
import type { CameraOptions } from "./options.ts";

/** A token and when it ends, as `Date.now()` counts; or why there is none. */
export type Fetched = { readonly token: string | undefined; readonly ends: number | undefined } | { readonly said: string };

export async function tokenFrom(source: CameraOptions["token"]): Promise<Fetched> {
  try {
    const token = typeof source === "function" ? await source() : source;
    return { token, ends: token === undefined ? undefined : endOfToken(token) };
  } catch (error) {
    return { said: error instanceof Error ? error.message : String(error) };
  }
}
