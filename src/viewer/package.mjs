// Makes esm/, what others import: the library as JavaScript with types and source maps, a file for each of lib/. npm does so
// before it packs or publishes. Licences and the protocol come along.
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

import ts from "typescript";

rmSync("esm", { recursive: true, force: true });
const { config } = ts.readConfigFile("tsconfig.json", ts.sys.readFile);
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ".");
const program = ts.createProgram(["lib/index.ts"], {
  ...options,
  noEmit: false,
  allowImportingTsExtensions: false,
  rewriteRelativeImportExtensions: true,
  rootDir: "lib",
  outDir: "esm",
  declaration: true,
  sourceMap: true,
  // Its sources stay here.
  inlineSources: true,
  // A browser's alone.
  types: [],
});
const problems = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
if (problems.length > 0) {
  process.stderr.write(ts.formatDiagnostics(problems, { getCanonicalFileName: String, getCurrentDirectory: () => ".", getNewLine: () => "\n" }));
  process.exit(1);
}
// The compiler rewrites the names of files in JavaScript alone.
for (const name of readdirSync("esm", { recursive: true })) {
  if (!name.endsWith(".d.ts")) continue;
  const file = path.join("esm", name);
  writeFileSync(file, readFileSync(file, "utf8").replace(/((?:from|import\() ?"\.\.?\/[^"]+)\.ts"/g, '$1.js"'));
}

copyFileSync("../session/PROTOCOL.md", "esm/PROTOCOL.md");
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(`../../${name}`, name);
