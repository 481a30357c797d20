// How long the node takes to answer a request over the channel `control`, with pictures going: by the page's own library.
// By itself: `node tests/bench/asking.mjs` (the release binary, or CAMERA_NODE_BIN).
import { fileURLToPath } from 'node:url';

import { launchBrowser } from '../browser/browser.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { STAND_INS, startDemo, temporaryFile, temporaryFolder } from '../browser/processes.mjs';

/** Milliseconds from asking to the answer, one after the other, sorted. */
export async function requestMs(browser, page, times) {
  const context = await browser.newContext();
  const tab = await context.newPage();
  await tab.goto(page);
  await waitForPicture(tab);
  await tab.waitForFunction(() => window.cameraNode.camera.control !== undefined);
  const taken = await tab.evaluate(async (times) => {
    const taken = [];
    for (let n = 0; n < times; n++) {
      const begun = performance.now();
      await window.cameraNode.camera.control.request('describe', {});
      taken.push(performance.now() - begun);
    }
    return taken;
  }, times);
  await context.close();
  return taken.sort((a, b) => a - b);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const endings = [];
  const scope = { after: (end) => endings.push(end) };
  const config = temporaryFile(scope, 'camera.toml', `[node]\nstate_folder = "${temporaryFolder(scope)}"\n${STAND_INS}`);
  const demo = await startDemo(scope, 'bench-asking', ['--config', config]);
  const taken = await requestMs(await launchBrowser(scope), demo.page, 200);
  console.log(`a request's round trip: ${taken[100].toFixed(1)} ms median, ${taken[189].toFixed(1)} ms p95, ${taken[199].toFixed(1)} ms at most`);
  for (const end of endings.reverse()) await end();
}
