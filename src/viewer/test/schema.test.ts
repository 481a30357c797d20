/** The JSON Schema of the protocol held against this client: the same types, the same golden files. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { Ajv2020 } from "ajv/dist/2020.js";

import { readMessage, readStatus } from "../lib/core/envelope.ts";

const SESSION = "../session";

interface Schema {
  oneOf: { $ref: string }[];
  $defs: Record<string, object>;
}

const schema = JSON.parse(readFileSync(`${SESSION}/schema/message.schema.json`, "utf8")) as Schema;

function golden(folder: string): [name: string, file: unknown][] {
  const path = `${SESSION}/golden/${folder}`;
  const names = readdirSync(path).filter((name) => name.endsWith(".json"));
  assert.ok(names.length > 0, `${path} is empty`);
  return names.map((name) => [name.slice(0, -".json".length), JSON.parse(readFileSync(`${path}/${name}`, "utf8"))]);
}

/** Every type that the client has a reader for, as its source says. */
function typesOfTheClient(): string[] {
  const source = readFileSync("lib/core/message.ts", "utf8");
  const table = /const BODIES[^\n]*\n([^]*?)\n\};/.exec(source)?.[1] ?? "";
  return [...table.matchAll(/^ {2}(\w+)[:,(]/gm)].map(([, type]) => type ?? "");
}

test("the schema and the client know the same types, each with a golden file", () => {
  const known = schema.oneOf.map(({ $ref }) => $ref.replace("#/$defs/", ""));
  assert.deepEqual(typesOfTheClient().sort(), [...known].sort());
  const shown = new Set(golden("valid").map(([, file]) => (file as { type: string }).type));
  assert.deepEqual([...shown].sort(), [...known].sort());
});

test("the schema allows every valid message and no invalid one", () => {
  const allows = new Ajv2020({ strict: true, strictRequired: false, strictTypes: false }).compile(schema);
  for (const [name, file] of [...golden("valid"), ...golden("status")]) {
    assert.ok(allows(file), `${name}: ${JSON.stringify(allows.errors)}`);
  }
  for (const [name, file] of golden("invalid")) {
    assert.ok(!allows((file as { message: unknown }).message), `${name} fits the schema`);
  }
});

test("a field that is null is a field that is absent", () => {
  for (const [name, file] of [...golden("valid"), ...golden("status")]) {
    const type = (file as { type: string }).type;
    const read = (from: unknown) => (type === "status" ? readStatus(JSON.stringify(from)) : readMessage(JSON.stringify(from)));
    assert.deepEqual(read(withNulls(schema.$defs[type], file)), read(file), name);
  }
});

interface Rule {
  $ref?: string;
  properties?: Record<string, Rule>;
  additionalProperties?: Rule;
  items?: Rule;
}

/** The same value with a null for each field it lacks. */
function withNulls(rule: Rule | undefined, value: unknown): unknown {
  if (rule?.$ref !== undefined) return withNulls(schema.$defs[rule.$ref.replace("#/$defs/", "")], value);
  if (Array.isArray(value)) return value.map((item) => withNulls(rule?.items, item));
  if (typeof value !== "object" || value === null) return value;
  const nulls = Object.keys(rule?.properties ?? {}).map((key) => [key, null]);
  const fields = Object.entries(value).map(([key, field]) => [key, withNulls(rule?.properties?.[key] ?? rule?.additionalProperties, field)]);
  return Object.fromEntries([...nulls, ...fields]);
}
