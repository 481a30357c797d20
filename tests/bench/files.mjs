// How long a still picture takes, how fast a file of 10 MB comes, and what becomes of the picture meanwhile: in Chromium, by the
// client library. By itself: `node tests/bench/files.mjs` (the release binary, or CAMERA_NODE_BIN).
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { launchBrowser } from '../browser/browser.mjs';
import { openLibrary, watch } from '../browser/library.mjs';
import { startDemo, temporaryFile, temporaryFolder } from '../browser/processes.mjs';
import { writeTexture } from './texture.mjs';

const BYTES = 10_000_000;

const endings = [];
const scope = { after: (end) => endings.push(end) };
const folder = temporaryFolder(scope);
const media = path.join(folder, 'media');
mkdirSync(media);
writeFileSync(path.join(media, 'clip.mp4'), randomBytes(BYTES));
// What takes the whole bit rate: a file that takes what the test pattern leaves proves little of the picture beside it.
const texture = path.join(folder, 'texture.y4m');
writeTexture(texture);
const camera = `[[camera]]\n[camera.video]\nsource = "file"\nfile = "${texture}"\n[camera.audio]\nsource = "tone"\n`;
const config = temporaryFile(scope, 'camera.toml', `[node]\nstate_folder = "${folder}"\n[files]\nfolder = "${media}"\n${camera}`);
const demo = await startDemo(scope, 'bench-files', ['--config', config]);
const page = await openLibrary(await launchBrowser(scope), demo.page);
await watch(page, demo, ['control', 'files', 'snapshot']);
const taken = await page.evaluate(async () => {
  const { camera, library } = window;
  const sorted = (numbers) => numbers.sort((a, b) => a - b);
  const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const stills = [];
  for (let n = 0; n < 30; n++) {
    const begun = performance.now();
    await library.fullSnapshot(camera);
    stills.push(performance.now() - begun);
    await wait(300);
  }
  const video = document.querySelector('video');
  let last;
  let gaps = [];
  const shown = (now) => {
    if (last !== undefined) gaps.push(now - last);
    last = now;
    video.requestVideoFrameCallback(shown);
  };
  video.requestVideoFrameCallback(shown);
  const files = new library.Files(camera);
  const rates = [];
  await wait(3_000);
  const quiet = sorted(gaps);
  gaps = [];
  for (let n = 0; n < 5; n++) {
    const begun = performance.now();
    const { bytes, verified } = await files.fetch('clip.mp4');
    if (!verified) throw new Error('not the file');
    rates.push((bytes * 8) / (performance.now() - begun) / 1_000);
  }
  return { stills: sorted(stills), quiet, busy: sorted(gaps), rates: sorted(rates) };
});
const at = (sorted, share) => sorted[Math.floor(share * (sorted.length - 1))].toFixed(1);
console.log(`a still picture, asked for to all there: ${at(taken.stills, 0.5)} ms median, ${at(taken.stills, 0.95)} ms p95`);
console.log(`10 MB: ${at(taken.rates, 0.5)} Mbit/s median, ${at(taken.rates, 0)} at least`);
for (const [when, gaps] of [['before', taken.quiet], ['meanwhile', taken.busy]]) {
  console.log(`between two pictures ${when}: ${at(gaps, 0.5)} ms median, ${at(gaps, 0.95)} ms p95, ${at(gaps, 1)} ms at most, ${gaps.length} pictures`);
}
for (const end of endings.reverse()) await end();
