/** The node's files as a person reads them. Pure. */

import type { FetchedFile, FileInfo } from "../lib/index.ts";

/** So many are shown at once, and so many more each time somebody asks for more. */
export const PAGE = 30;

/** The newest first; of those of one second the last by name, which mostly has a number in it. */
export function newestFirst(files: readonly FileInfo[]): FileInfo[] {
  return [...files].sort((one, other) => other.modified - one.modified || (one.name < other.name ? 1 : -1));
}

/** A size in the unit that gives few digits. */
export function fileSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  const units = ["kB", "MB", "GB"];
  let [size, unit] = [bytes / 1_000, 0];
  // What would be written as 1000 is the next unit's 1.0.
  while (size >= 999.5 && unit < units.length - 1) [size, unit] = [size / 1_000, unit + 1];
  return `${size < 9.95 ? size.toFixed(1) : String(Math.round(size))} ${units[unit] ?? ""}`;
}

/** How dates are written, and when it is noon: the browser's own way, but in tests. */
interface Where {
  readonly locale?: string;
  readonly timeZone?: string;
}

/** When it was written, `modified` seconds after 1970, as people here write dates. */
export function fileDate(modified: number, { locale, timeZone }: Where = {}): string {
  const date = new Date(modified * 1_000);
  // A card without a clock may write anything.
  if (Number.isNaN(date.getTime())) return "";
  return date.toLocaleString(locale, { dateStyle: "medium", timeStyle: "short", ...(timeZone !== undefined && { timeZone }) });
}

/** Size and date, with what is known. */
export function fileWords({ bytes, modified }: FileInfo, where: Where = {}): string {
  return [fileSize(bytes), fileDate(modified, where)].filter((part) => part !== "").join(" · ");
}

/** How far it has come. */
export function progressWords(received: number, bytes: number): string {
  // All of it is not all that is to be done: it is held against its hash.
  const percent = bytes === 0 ? 100 : Math.floor((received / bytes) * 100);
  return percent === 100 ? `Checking ${fileSize(bytes)}` : `${percent} % of ${fileSize(bytes)}`;
}

/** What is said of one that has come. */
export function savedWords({ name, verified }: Pick<FetchedFile, "name" | "verified">): string {
  return verified ? `Saved ${name}` : `Saved ${name}. It was not checked: browsers can do that only on pages from https://.`;
}
