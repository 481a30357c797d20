/**
 * The peer id of this tab: made once, kept over reloads, never shared.
 *
 * Two clients with one id throw each other off the broker, and browsers copy `sessionStorage` when a tab is duplicated.
 * So the id stands in the storage only while no page uses it: a page takes it out when it begins and puts it back when
 * it ends. A copy made in between finds none and makes its own.
 */

import { isId } from "./core/topics.ts";

const KEY = "camera-node.peer";

let mine: string | undefined;

/** This tab's peer id. */
export function peerId(): string {
  if (mine !== undefined) return mine;
  const kept = take();
  mine = kept !== undefined && isId(kept) ? kept : `v-${randomHex(10)}`;
  addEventListener("pagehide", put);
  // A page that comes back from the browser's cache takes its id out again.
  addEventListener("pageshow", () => void take());
  return mine;
}

/** Random hex digits, two a byte. */
export function randomHex(bytes: number): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function take(): string | undefined {
  // Storage may be forbidden; then every page load is a peer of its own.
  try {
    const kept = sessionStorage.getItem(KEY) ?? undefined;
    sessionStorage.removeItem(KEY);
    return kept;
  } catch {
    return undefined;
  }
}

function put(): void {
  try {
    if (mine !== undefined) sessionStorage.setItem(KEY, mine);
  } catch {
    // As above.
  }
}
