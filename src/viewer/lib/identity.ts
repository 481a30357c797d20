/**
 * The peer id of this tab: made once, kept over reloads, never shared.
 *
 * Two clients with one id throw each other off the broker, and browsers copy `sessionStorage` when a tab is duplicated.
 * So the id stands in the storage only while no page uses it: a page takes it out when it begins and puts it back when
 * it ends. A copy made in between finds none and makes its own.
 */

import { isId } from "./core/topics.ts";

const KEY = "camera-node.peer";

/** How the ids begin that nobody else has named. */
const OWN = "v-";
/** The longest id there may be. */
const MAX_LENGTH = 64;

let mine: string | undefined;

/** This tab's peer id; or the one that a token is for: an id, or the beginning of one and `*`. */
export function peerId(wanted = "*"): string {
  if (isId(wanted)) return wanted;
  const beginning = wanted.replace(/\*$/, "");
  return isId(beginning) ? `${beginning}${ownId().replace(OWN, "")}`.slice(0, MAX_LENGTH) : ownId();
}

function ownId(): string {
  if (mine !== undefined) return mine;
  const kept = take();
  mine = kept !== undefined && isId(kept) ? kept : `${OWN}${randomHex(10)}`;
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
