// An empty page with the client library on it, built from the sources: what an application has, without the node's own page.
import path from 'node:path';

import { build } from '../../src/viewer/node_modules/esbuild/lib/main.js';
import { openPage } from './browser.mjs';
import { root } from './processes.mjs';

/** Everything that the library exports, as `window.library`, on a page of the node's that has nothing else on it. */
export async function openLibrary(browser, node) {
  const { outputFiles } = await build({
    stdin: { contents: "import * as library from './lib/index.ts'; window.library = library;", resolveDir: path.join(root, 'src', 'viewer') },
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'error',
  });
  const page = await openPage(browser);
  await page.route('**/library.js', (route) => route.fulfill({ contentType: 'text/javascript', body: outputFiles[0].text }));
  // From the node itself: a page that a test makes up is of no network, and Chromium lets such a one nowhere.
  await page.goto(new URL('config.json', node).href);
  await page.addScriptTag({ url: '/library.js', type: 'module' });
  await page.evaluate(() => {
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, muted: true, playsInline: true });
    document.body.append(video);
  });
  await page.waitForFunction(() => window.library !== undefined);
  return page;
}

/** Watches the node, as `window.camera`, until there are pictures. */
export async function watch(page, { node }, channels) {
  await page.evaluate(
    ({ node, channels }) => {
      const { Camera } = window.library;
      window.camera = new Camera({ broker: new URL('mqtt', location.href).href.replace('http', 'ws'), node, wants: { video: true, channels } });
      window.camera.on('stream', (got) => {
        document.querySelector('video').srcObject = got?.stream ?? null;
      });
      window.camera.start();
    },
    { node, channels },
  );
  await page.waitForFunction(() => window.camera.state.state === 'live' && document.querySelector('video').currentTime > 0, null, { timeout: 90_000 });
}
