/** By which name a browser is called, and whether it is to be: kept in the browser, for each camera. Pure. */

import { kept, type Kept, type Storage } from "./kept.ts";
import type { Settings } from "./settings.ts";

/** Other pages of this browser may have its name already: so many are tried. */
const MAX_NUMBER = 9;
const MAX_LENGTH = 64;

/** What is kept of a bell that is on. */
export function keptName(settings: Settings, storage: () => Storage): Kept {
  return kept("bell", settings, storage);
}

/** A name for people, from what a browser says of itself; `mark` tells it from others of its kind. */
export function browserName(userAgent: string, mark: string): string {
  const found = (table: readonly (readonly [RegExp, string])[]): string | undefined => table.find(([pattern]) => pattern.test(userAgent))?.[1];
  const browser = found([[/Edg/, "Edge"], [/Firefox|FxiOS/, "Firefox"], [/SamsungBrowser/, "Samsung Internet"], [/Chrome|CriOS/, "Chrome"], [/Safari/, "Safari"]]);
  const system = found([[/Android/, "Android"], [/iPhone/, "iPhone"], [/iPad/, "iPad"], [/Windows/, "Windows"], [/Mac OS X/, "Mac"], [/CrOS/, "ChromeOS"], [/Linux/, "Linux"]]);
  return `${browser ?? "Browser"}${system === undefined ? "" : ` on ${system}`} ${mark}`.slice(0, MAX_LENGTH);
}

/** The name to try when `name` is taken: with the next number; `undefined` when that has gone on for too long. */
export function nextName(name: string): string | undefined {
  const [, base = name, number = "1"] = /^(.*) \((\d)\)$/.exec(name) ?? [];
  const next = Number(number) + 1;
  return next > MAX_NUMBER ? undefined : `${base.slice(0, MAX_LENGTH - 4)} (${next})`;
}
