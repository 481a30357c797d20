/** The examples in the README, held to the library. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";

import ts from "typescript";

import { ERRORS } from "../lib/index.ts";

/** What the examples take for granted of the page around them. */
const PAGE = "declare const video: HTMLVideoElement, label: HTMLElement, numbers: HTMLElement, hint: HTMLElement, yes: HTMLElement, no: HTMLElement;\n";

test("every example in the README compiles", () => {
  const examples = [...readFileSync("README.md", "utf8").matchAll(/```ts\n([^]*?)```/g)].map(([, code = ""]) => code);
  assert.ok(examples.length >= 6, `${examples.length} examples`);
  const files = new Map(examples.map((code, index) => [resolve(`example-${index + 1}.ts`), `${code}${PAGE}`]));
  const { config } = ts.readConfigFile("tsconfig.json", (path) => ts.sys.readFile(path)) as { config: unknown };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ".");
  // What is declared in an example need not be used in it.
  const host = ts.createCompilerHost({ ...options, noUnusedLocals: false });
  host.readFile = (path) => files.get(resolve(path)) ?? ts.sys.readFile(path);
  host.fileExists = (path) => files.has(resolve(path)) || ts.sys.fileExists(path);
  const program = ts.createProgram([...files.keys()], { ...options, noUnusedLocals: false }, host);
  const problems = ts.getPreEmitDiagnostics(program).filter(({ file }) => file === undefined || files.has(resolve(file.fileName)));
  const said = problems.map(({ file, messageText }) => `${file?.fileName ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`);
  assert.deepEqual(said, []);
});

test("the README names every event and every error", () => {
  const text = readFileSync("README.md", "utf8");
  const source = readFileSync("lib/camera-events.ts", "utf8");
  const events = [...(/interface CameraEvents \{([^]*?)\n\}/.exec(source)?.[1] ?? "").matchAll(/^ {2}(\w+):/gm)].map(([, name = ""]) => name);
  assert.ok(events.length >= 14, String(events));
  const missing = [...events, ...Object.keys(ERRORS)].filter((name) => !text.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
  const again = [...text.matchAll(/^\| ((?:`\w+`,? ?)+) \| .* \| (yes|no) \|$/gm)].flatMap(([, names = "", tried]) => [...names.matchAll(/\w+/g)].map(([name]) => [name, tried === "yes"]));
  assert.deepEqual(Object.fromEntries(again), Object.fromEntries(Object.entries(ERRORS).map(([name, { retry }]) => [name, retry])));
});
