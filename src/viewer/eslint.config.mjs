import tseslint from "typescript-eslint";

/** What only shells may touch: a core is told the time, the chance and what has happened. */
const OUTSIDE_WORLD = ["Date", "performance", "setTimeout", "setInterval", "crypto", "window", "document", "navigator", "fetch"];

export default tseslint.config(
  { ignores: ["dist/", "docs/", "esm/", "examples/", "node_modules/", "test/out/", "*.mjs", "test/*.mjs"] },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: new URL(".", import.meta.url).pathname } },
    rules: {
      "no-console": "error",
      eqeqeq: "error",
      "max-lines": ["error", { max: 400, skipBlankLines: false }],
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    },
  },
  {
    files: ["lib/core/**"],
    rules: {
      "no-restricted-globals": ["error", ...OUTSIDE_WORLD],
      "no-restricted-properties": ["error", { object: "Math", property: "random", message: "chance is an argument" }],
    },
  },
  {
    // The page is built on what everybody has.
    files: ["page/**"],
    rules: {
      "no-restricted-imports": ["error", { patterns: [{ regex: "^\\.\\./(?!lib/index\\.ts$)|^[^.]", message: "a page has lib/index.ts, and its own files" }] }],
    },
  },
  {
    // The runner awaits its own promises; a table of cases may be long.
    files: ["test/**"],
    rules: { "@typescript-eslint/no-floating-promises": "off", "max-lines": "off" },
  },
);
