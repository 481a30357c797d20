// A project of somebody else's: the library packed as npm would publish it, installed by npm, with the library's examples.
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { cache, root } from './processes.mjs';

const viewer = path.join(root, 'src', 'viewer');
const json = (...names) => JSON.parse(readFileSync(path.join(...names), 'utf8'));
const npm = (cwd, ...args) => execFileSync('npm', [...args, '--cache', path.join(cache, 'npm')], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Makes the project: `index.html` is the plain example, `react/` the one in React, built. */
export function makeProject() {
  const folder = mkdtempSync(path.join(tmpdir(), 'camera-node-consumer-'));
  const tarball = npm(viewer, 'pack', '--silent', '--pack-destination', folder).trim().split('\n').at(-1);
  const { dependencies } = json(viewer, 'examples', 'react', 'package.json');
  const manifest = { name: 'consumer', version: '0.0.0', private: true, dependencies: { ...dependencies, 'camera-node-viewer': `file:${tarball}` } };
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(path.join(folder, 'package-lock.json'), JSON.stringify(lockFor(manifest, tarball)));
  // Of the versions that the lock files here name, which are in npm's cache since those were installed.
  npm(folder, 'ci', '--prefer-offline', '--no-audit', '--no-fund');
  cpSync(path.join(viewer, 'examples', 'html'), folder, { recursive: true });
  cpSync(path.join(viewer, 'examples', 'react'), path.join(folder, 'react'), { recursive: true });
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** Checks the types of the React example as a project of its own would, and builds it as its `package.json` says. */
export function buildReact(folder) {
  const example = path.join(folder, 'react');
  const from = createRequire(path.join(viewer, 'package.json'));
  const strict = ['--strict', '--noEmit', '--skipLibCheck', '--jsx', 'react-jsx', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler'];
  const types = path.join(root, 'tests', 'browser', 'node_modules', '@types');
  cpSync(types, path.join(folder, 'node_modules', '@types'), { recursive: true });
  cpSync(path.join(types, '..', 'csstype'), path.join(folder, 'node_modules', 'csstype'), { recursive: true });
  run(process.execPath, [from.resolve('typescript/bin/tsc'), ...strict, 'app.tsx'], example);
  const [program, ...args] = json(example, 'package.json').scripts.build.split(' ');
  if (program !== 'esbuild') throw new Error(`not built by esbuild but by ${program}`);
  run(from.resolve('esbuild/bin/esbuild'), args, example);
}

/** Serves the folder on loopback until the test `t` ends; gives its address. */
export async function serve(t, folder) {
  const types = { '.html': 'text/html', '.js': 'text/javascript', '.map': 'application/json' };
  const server = createServer((request, response) => {
    const file = path.join(folder, path.normalize(new URL(request.url, 'http://x').pathname));
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'content-type': types[path.extname(file)] ?? 'application/octet-stream' }).end(readFileSync(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${server.address().port}`;
}

/** The lock file of a project with the tarball: what the lock files of the library and of these tests have for it. */
function lockFor(manifest, tarball) {
  const library = json(viewer, 'package.json');
  const named = (packages) => Object.entries(packages).filter(([name, { dev }]) => name !== '' && dev !== true);
  const react = named(json(root, 'tests', 'browser', 'package-lock.json').packages).filter(([name]) => /\/(react|react-dom|scheduler)$/.test(name));
  return {
    name: manifest.name,
    version: manifest.version,
    lockfileVersion: 3,
    packages: {
      '': manifest,
      'node_modules/camera-node-viewer': { version: library.version, resolved: `file:${tarball}`, dependencies: library.dependencies },
      ...Object.fromEntries([...named(json(viewer, 'package-lock.json').packages), ...react]),
    },
  };
}

function run(program, args, cwd) {
  try {
    execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    throw new Error(`${path.basename(program)}: ${error.stdout}${error.stderr}`, { cause: error });
  }
}
