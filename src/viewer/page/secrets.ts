/**
 * What a link lets one in with, the node's access token and the broker's password: they come in the address's fragment,
 * which no server sees, and are taken out at once, so that they stand neither in the address bar nor in the tab's history.
 * They are kept for reloads of this tab, and for the one camera they came with: another camera's broker must not get them.
 */

import type { Settings } from "./settings.ts";

/** The part of `sessionStorage` that is needed here. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem">;

const NAMES = ["token", "password"] as const;

/** What came with a link. */
export type Secrets = { readonly [N in (typeof NAMES)[number]]?: string };

/** A fragment without its secrets, and those. */
export function splitFragment(hash: string): { secrets: Secrets; rest: string } {
  const parts = hash.replace(/^#/, "").split("&");
  const isOf = (name: string) => (part: string) => part.startsWith(`${name}=`);
  const secrets: { -readonly [N in keyof Secrets]: string } = {};
  for (const name of NAMES) {
    const value = new URLSearchParams(parts.find(isOf(name)) ?? "").get(name) ?? "";
    if (value !== "") secrets[name] = value;
  }
  const rest = parts.filter((part) => part !== "" && !NAMES.some((name) => isOf(name)(part))).join("&");
  return { secrets, rest: rest === "" ? "" : `#${rest}` };
}

/** The secrets in this page's address, which afterwards stand there no more. */
export function takeSecrets(): Secrets {
  const { secrets, rest } = splitFragment(location.hash);
  if (Object.keys(secrets).length > 0) history.replaceState(history.state, "", `${location.pathname}${location.search}${rest}`);
  return secrets;
}

/** The fragment that brings these secrets to another page. */
export function fragmentOf(secrets: Secrets): string {
  const parts = NAMES.flatMap((name) => (secrets[name] === undefined ? [] : [`${name}=${encodeURIComponent(secrets[name])}`]));
  return parts.length === 0 ? "" : `#${parts.join("&")}`;
}

/** The secrets for a camera: those just given, else those that were given for it earlier in this tab. */
export function secretsFor({ broker, prefix, node }: Settings, given: Secrets, storage: () => Storage): Secrets {
  const found: { -readonly [N in keyof Secrets]: string } = { ...given };
  for (const name of NAMES) {
    const key = `camera-node.${name} ${JSON.stringify([broker, prefix ?? "", node])}`;
    // Storage may be forbidden; then a reload needs the link again.
    try {
      const value = given[name];
      const kept = value === undefined ? storage().getItem(key) : undefined;
      if (value !== undefined) storage().setItem(key, value);
      else if (kept !== undefined && kept !== null) found[name] = kept;
    } catch {
      continue;
    }
  }
  return found;
}
