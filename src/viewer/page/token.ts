/**
 * The access token of a link: it comes in the address's fragment, which no server sees, and is taken out at once, so that
 * it stands neither in the address bar nor in the tab's history. It is kept for reloads of this tab, and for the one
 * camera it came with: another camera's broker must not get it.
 */

import type { Settings } from "./settings.ts";

/** The part of `sessionStorage` that is needed here. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem">;

/** A fragment without its token, and that token. */
export function splitFragment(hash: string): { token: string | undefined; rest: string } {
  const parts = hash.replace(/^#/, "").split("&");
  const isToken = (part: string): boolean => part.startsWith("token=");
  const token = new URLSearchParams(parts.find(isToken) ?? "").get("token") ?? "";
  const rest = parts.filter((part) => part !== "" && !isToken(part)).join("&");
  return { token: token === "" ? undefined : token, rest: rest === "" ? "" : `#${rest}` };
}

/** The token in this page's address, which afterwards stands there no more. */
export function takeToken(): string | undefined {
  const { token, rest } = splitFragment(location.hash);
  if (token !== undefined) history.replaceState(history.state, "", `${location.pathname}${location.search}${rest}`);
  return token;
}

/** The token for a camera: the one just given, else the one that was given for it earlier in this tab. */
export function tokenFor({ broker, prefix, node }: Settings, given: string | undefined, storage: () => Storage): string | undefined {
  const key = `camera-node.token ${JSON.stringify([broker, prefix ?? "", node])}`;
  // Storage may be forbidden; then a reload needs the link again.
  try {
    if (given === undefined) return storage().getItem(key) ?? undefined;
    storage().setItem(key, given);
  } catch {
    return given;
  }
  return given;
}
