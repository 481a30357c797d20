/** Which camera to show: the address's fragment, else what the node serves beside the page, else ask. */

import { isId, isPrefix } from "../lib/index.ts";

/** A camera's place. */
export interface Settings {
  readonly broker: string;
  readonly node: string;
  readonly prefix?: string;
}

/** What was found. */
export interface Found {
  readonly settings: Partial<Settings>;
  /** Whoever chose by the fragment may choose another; a node's own page shows that node. */
  readonly from: "fragment" | "node" | "nowhere";
  /** Where the node serves this page over https, if it does. */
  readonly https: string | undefined;
}

/** Looks for settings. */
export async function findSettings(): Promise<Found> {
  const fragment = fromFragment(location.hash);
  if (Object.keys(fragment).length > 0) return { settings: fragment, from: "fragment", https: undefined };
  const served = await fromNode();
  const settings = pick(served);
  return { settings, from: isComplete(settings) ? "node" : "nowhere", https: httpsAddress(served["https"]) };
}

/** Whether nothing is missing or wrong. */
export function isComplete(settings: Partial<Settings>): settings is Settings {
  return problemOf(settings) === undefined;
}

/** What keeps these settings from being used, in a sentence. */
export function problemOf({ broker, node, prefix }: Partial<Settings>): string | undefined {
  if (broker === undefined) return "The broker's address is missing.";
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(broker.trim())?.[1]?.toLowerCase();
  if (scheme !== undefined && !["ws", "wss", "http", "https"].includes(scheme)) {
    return `Browsers reach a broker by WebSocket, at an address like wss://broker.example.org/mqtt; ${scheme}:// is not for them.`;
  }
  if (!isAddress(broker)) return "This cannot be a broker's address: it is like wss://broker.example.org/mqtt.";
  if (node === undefined) return "The name of the camera's node is missing.";
  if (!isId(node)) return `“${node}” cannot be a node's name: it is made of A-Z, a-z, 0-9, _ and -, 64 at most.`;
  if (prefix !== undefined && !isPrefix(prefix)) return `“${prefix}” cannot be a topic prefix: it is like camera-node/v1.`;
  return undefined;
}

/** `#broker=…&node=…&prefix=…` */
export function fromFragment(hash: string): Partial<Settings> {
  return pick(Object.fromEntries(new URLSearchParams(hash.replace(/^#/, ""))));
}

/** The fragment for these settings. */
export function toFragment(settings: Settings): string {
  // Addresses stay readable in the address bar: only what would end a value is escaped.
  const plain = (text: string): string => encodeURIComponent(text).replace(/%(3A|2F)/g, (escaped) => decodeURIComponent(escaped));
  return `#${Object.entries(settings).map(([key, value]) => `${key}=${plain(String(value))}`).join("&")}`;
}

/**
 * The broker's address as a browser takes it: paths and `http(s)` belong to the page's own host or scheme, a bare host
 * gets the scheme that fits the page.
 */
export function brokerAddress(text: string, page: string): string {
  const secure = new URL(page).protocol === "https:";
  const trimmed = text.trim();
  if (/^wss?:\/\//i.test(trimmed)) return trimmed;
  if (/^https?:\/\//i.test(trimmed)) return trimmed.replace(/^http/i, "ws");
  if (/^\.?\//.test(trimmed)) return new URL(trimmed, page).href.replace(/^http/, "ws");
  return /^[a-z]+:\/\//i.test(trimmed) ? trimmed : `${secure ? "wss" : "ws"}://${trimmed}`;
}

/** Whether a browser can make anything of it; such as `javascript:…` it cannot, whatever is put before it. */
function isAddress(broker: string): boolean {
  try {
    return new URL(brokerAddress(broker, "https://page.example/")).hostname !== "";
  } catch {
    return false;
  }
}

function httpsAddress(text: unknown): string | undefined {
  return typeof text === "string" && text.startsWith("https://") ? text : undefined;
}

async function fromNode(): Promise<Record<string, unknown>> {
  try {
    const response = await fetch("config.json", { cache: "no-store" });
    const served: unknown = response.ok ? await response.json() : {};
    return typeof served === "object" && served !== null ? (served as Record<string, unknown>) : {};
  } catch {
    // No such file, or the page was opened from a disk.
    return {};
  }
}

function pick(from: Record<string, unknown>): Partial<Settings> {
  const found: Record<string, string> = {};
  for (const key of ["broker", "node", "prefix"]) {
    const value = from[key];
    if (typeof value === "string" && value !== "") found[key] = value;
  }
  return found;
}
