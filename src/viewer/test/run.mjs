// Bundles the tests and runs them with Node's own runner: no loader, so any Node from 18 on will do.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { build } from "esbuild";

rmSync("test/out", { recursive: true, force: true });
// `node test/run.mjs NAME` runs those of one file.
const only = process.argv[2] === undefined ? ".test.ts" : `${process.argv[2]}.test.ts`;
const tests = readdirSync("test").filter((name) => name.endsWith(only));
await build({
  entryPoints: tests.map((name) => `test/${name}`),
  outdir: "test/out",
  outExtension: { ".js": ".mjs" },
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node18",
  packages: "external",
  sourcemap: "inline",
  logLevel: "warning",
});
const files = tests.map((name) => `test/out/${name.replace(/\.ts$/, ".mjs")}`);
const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...files], { stdio: "inherit" });
process.exit(status ?? 1);
