/** The package as others get it: what is in it, and that a project of theirs compiles against it and can load it. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";

import ts from "typescript";

const CONSUMER = `
import { Camera, ControlError, lacking, withPassword, type CameraEvents, type CameraState, type Stats } from "camera-node-viewer";

const camera = new Camera({ connect: withPassword({ url: "wss://broker.example.org/mqtt", password: "x" }), node: "porch" });
const off: () => void = camera.on("state", ({ title, state }: CameraState) => { document.title = state === "live" ? title : state; });
camera.on("incomingCall", (call) => { if (lacking().length === 0) call.accept(); else call.decline("busy"); });
camera.on("stats", ({ fps }: Stats) => { const shown: number | undefined = fps; void shown; });
const names: keyof CameraEvents = "call";
void camera.openChannel("app:ptz").catch((error: unknown) => { if (error instanceof ControlError) console.log(error.slug, names); });
// @ts-expect-error There is no such event.
camera.on("nothing", () => undefined);
// @ts-expect-error What is within is nobody's else.
void import("camera-node-viewer/esm/link.js");
off();
`;

let folder = "";
let unpacked = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "camera-node-package-"));
  const said = execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { encoding: "utf8" });
  unpacked = join(folder, "node_modules", "camera-node-viewer");
  mkdirSync(unpacked, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, said.trim().split("\n").at(-1) ?? ""), "-C", unpacked, "--strip-components=1"]);
  symlinkSync(resolve("node_modules/mqtt"), join(folder, "node_modules", "mqtt"));
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  writeFileSync(join(folder, "consumer.ts"), CONSUMER);
});

after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const files = (): string[] =>
  readdirSync(unpacked, { recursive: true, encoding: "utf8" }).map((name) => join(unpacked, name)).filter((file) => statSync(file).isFile());

test("the package has the library, its types, licences and the protocol, and nothing else", () => {
  const strange = files().filter((file) => !/\/esm\/.*\.(js|js\.map|d\.ts)$|\/esm\/PROTOCOL\.md$|\/(package\.json|README\.md|LICENSE-MIT|LICENSE-APACHE)$/.test(file));
  assert.deepEqual(strange, []);
  for (const name of ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "esm/PROTOCOL.md", "esm/index.js", "esm/index.d.ts"]) {
    assert.ok(existsSync(join(unpacked, name)), name);
  }
});

test("its files name each other as they are called, and its source maps carry the source", () => {
  for (const file of files().filter((name) => /\.(js|d\.ts)$/.test(name))) {
    for (const [, name = ""] of readFileSync(file, "utf8").matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)) {
      const named = resolve(file, "..", name);
      assert.ok(name.endsWith(".js") && existsSync(file.endsWith(".d.ts") ? named.replace(/\.js$/, ".d.ts") : named), `${name} in ${file}`);
    }
  }
  for (const file of files().filter((name) => name.endsWith(".js.map"))) {
    const { sourcesContent } = JSON.parse(readFileSync(file, "utf8")) as { sourcesContent?: string[] };
    assert.ok(sourcesContent?.every((text) => text !== ""), file);
  }
});

const RESOLUTIONS = [
  { name: "bundler", module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
  { name: "node16", module: ts.ModuleKind.Node16, moduleResolution: ts.ModuleResolutionKind.Node16 },
];

for (const { name, ...resolution } of RESOLUTIONS) {
  test(`a strict project that resolves as ${name} does compiles against it`, () => {
    const options: ts.CompilerOptions = {
      ...resolution,
      target: ts.ScriptTarget.ES2022,
      lib: ["lib.es2022.d.ts", "lib.dom.d.ts"],
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      types: [],
      // Our own declarations are to be right in themselves.
      skipLibCheck: false,
    };
    const program = ts.createProgram([join(folder, "consumer.ts")], options);
    const ours = ts.getPreEmitDiagnostics(program).filter(({ file }) => file === undefined || !/node_modules\/(?!camera-node-viewer)/.test(file.fileName));
    assert.deepEqual(ours.map(({ file, messageText }) => `${file?.fileName ?? ""}: ${ts.flattenDiagnosticMessageText(messageText, " ")}`), []);
  });
}

test("a server that renders pages can load it", () => {
  const said = execFileSync(process.execPath, ["-e", 'import("camera-node-viewer").then(({ Camera }) => console.log(typeof Camera))'], { cwd: folder, encoding: "utf8" });
  assert.equal(said.trim(), "function");
});
