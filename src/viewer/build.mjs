// Builds the page into dist/: static files with relative paths, for any web host.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { build } from "esbuild";

rmSync("dist", { recursive: true, force: true });
mkdirSync("dist");
const { metafile } = await build({
  entryPoints: { viewer: "page/main.ts", style: "page/viewer.css" },
  outdir: "dist",
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "iife",
  platform: "browser",
  target: ["es2020", "chrome100", "firefox110", "safari15.4"],
  charset: "utf8",
  legalComments: "none",
  metafile: true,
  logLevel: "warning",
});
const named = (extension) => basename(Object.keys(metafile.outputs).find((path) => path.endsWith(extension)));
const page = readFileSync("page/index.html", "utf8")
  .replace("viewer.css", named(".css"))
  .replace("viewer.js", named(".js"))
  .replace(/^ +/gm, "");
writeFileSync("dist/index.html", page);
for (const name of readdirSync("page/static")) copyFileSync(`page/static/${name}`, `dist/${name}`);
