/** Readers: each takes what JSON gave and returns it typed and within its limits, or throws {@link Unreadable}. */

/** A field that is not what it must be. */
export class Unreadable extends Error {}

/** Takes an unknown value, `what` names it in the error. */
export type Reader<T> = (value: unknown, what: string) => T;

/** A JSON object. */
export type Fields = Record<string, unknown>;

/** Whether a value is a JSON object. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const fields: Reader<Fields> = (value, what) => {
  if (!isFields(value)) throw new Unreadable(`${what} is not an object`);
  return value;
};

export const flag: Reader<boolean> = (value, what) => {
  if (typeof value !== "boolean") throw new Unreadable(`${what} is not true or false`);
  return value;
};

/** A whole number from `min` to `max`. */
export function whole(max = 0xffff_ffff, min = 0): Reader<number> {
  return (value, what) => {
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw new Unreadable(`${what} is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

/** Text of `min` to `max` characters, counted as JSON Schema does. */
export function text(max: number, min = 1): Reader<string> {
  return (value, what) => {
    // A UTF-16 length within the limits spares counting; one beyond twice the limit cannot fit.
    if (typeof value !== "string" || value.length > 2 * max) throw new Unreadable(`${what} is not a text of ${min} to ${max} characters`);
    const length = value.length <= max && value.length >= 2 * min ? value.length : Array.from(value).length;
    if (length < min || length > max) throw new Unreadable(`${what} is not a text of ${min} to ${max} characters`);
    return value;
  };
}

/** Text of a given form. */
export function form(pattern: RegExp, rule: string): Reader<string> {
  return (value, what) => {
    if (typeof value !== "string" || !pattern.test(value)) throw new Unreadable(`${what} is not ${rule}`);
    return value;
  };
}

/** One of a few words. */
export function word<const W extends string>(...words: W[]): Reader<W> {
  return (value, what) => {
    const found = words.find((each) => each === value);
    if (found === undefined) throw new Unreadable(`${what} is none of ${words.join(", ")}`);
    return found;
  };
}

/** A list of `min` to `max` items. */
export function list<T>(item: Reader<T>, max: number, min = 0): Reader<T[]> {
  return (value, what) => {
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      throw new Unreadable(`${what} is not a list of ${min} to ${max} items`);
    }
    return value.map((each, index) => item(each, `${what}[${index}]`));
  };
}

/** An object of `max` entries with free keys. */
export function map<T>(entry: Reader<T>, max: number, key: Reader<string>): Reader<Record<string, T>> {
  return (value, what) => {
    const entries = Object.entries(fields(value, what));
    if (entries.length > max) throw new Unreadable(`${what} has more than ${max} entries`);
    return Object.fromEntries(entries.map(([name, each]) => [key(name, `a key of ${what}`), entry(each, `${what}.${name}`)]));
  };
}

/** The field, read, as an object to spread; nothing when it is absent or null. */
export function maybe<K extends string, T>(from: Fields, key: K, reader: Reader<T>): { [P in K]?: T } {
  const value = from[key];
  if (value === undefined || value === null) return {};
  return { [key]: reader(value, key) } as { [P in K]?: T };
}

/** The field, read; it must be there. */
export function must<T>(from: Fields, key: string, reader: Reader<T>): T {
  if (from[key] === undefined) throw new Unreadable(`${key} is missing`);
  return reader(from[key], key);
}
