// Files and still pictures by the client library, in a browser that watches the camera meanwhile.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { launchBrowser } from './browser.mjs';
import { openLibrary, watch } from './library.mjs';
import { STAND_INS, startDemo, temporaryFile, temporaryFolder } from './processes.mjs';

/** A demo with a folder of files, and a page with the library on it. */
async function begin(t, name) {
  const folder = temporaryFolder(t);
  const media = path.join(folder, 'media');
  mkdirSync(media);
  const clip = randomBytes(3_000_000);
  writeFileSync(path.join(media, 'clip.mp4'), clip);
  symlinkSync('/etc/passwd', path.join(media, 'link'));
  const text = `[node]\nstate_folder = "${folder}"\n[files]\nfolder = "${media}"\n${STAND_INS}`;
  const demo = await startDemo(t, name, ['--config', temporaryFile(t, 'camera.toml', text)]);
  const page = await openLibrary(await launchBrowser(t), demo.page);
  return { demo, page, media, sha256: createHash('sha256').update(clip).digest('hex') };
}

test('a file is fetched through two breaks of the session, is what it was, and goes when it is deleted', { timeout: 300_000 }, async (t) => {
  const { demo, page, media, sha256 } = await begin(t, 'demo-files');
  await watch(page, demo, ['control', 'files']);
  const got = await page.evaluate(async () => {
    const { camera, library } = window;
    const files = new library.Files(camera);
    const names = (await files.list()).map(({ name, bytes }) => [name, bytes]);
    const breaks = [800_000, 2_000_000];
    const onprogress = (received) => {
      if (breaks[0] === undefined || received < breaks[0]) return;
      breaks.shift();
      camera.stop();
      camera.start();
    };
    const fetched = await files.fetch('clip.mp4', { onprogress });
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await fetched.blob.arrayBuffer()));
    const joins = camera.events.filter(({ name }) => name === 'join').length;
    const refused = await files.fetch('link').then(() => undefined, ({ slug }) => slug);
    await files.delete('clip.mp4');
    return { names, joins, refused, verified: fetched.verified, hash: Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(''), left: await files.list() };
  });
  assert.deepEqual(got.names, [['clip.mp4', 3_000_000]]);
  assert.deepEqual([got.verified, got.hash, got.joins], [true, sha256, 3]);
  assert.deepEqual([got.refused, got.left, existsSync(path.join(media, 'clip.mp4'))], ['noSuchFile', [], false]);
});

test('a still picture comes over the broker without a session, and at full size within one', { timeout: 300_000 }, async (t) => {
  const { demo, page } = await begin(t, 'demo-stills');
  const size = async (take) => page.evaluate(`(async () => { const picture = await createImageBitmap(await (${take})()); return [picture.width, picture.height]; })()`);
  await page.evaluate((node) => {
    window.camera = new window.library.Camera({ broker: new URL('mqtt', location.href).href.replace('http', 'ws'), node });
  }, demo.node);
  assert.deepEqual(await size('() => window.camera.snapshot({ width: 320 })'), [320, 180]);
  const joins = await page.evaluate(() => window.camera.events.length);
  assert.equal(joins, 0, 'no session was begun');
  await watch(page, demo, ['control', 'snapshot']);
  assert.deepEqual(await size('() => window.library.fullSnapshot(window.camera)'), [1280, 720]);
  assert.deepEqual(await size('() => window.library.fullSnapshot(window.camera, { width: 640, quality: 95 })'), [640, 360]);
  const refused = await page.evaluate(async () => {
    const { camera, library } = window;
    await camera.control.request('camera.privacy', { camera: 'main', on: true });
    const slug = (asked) => asked.then(() => 'a picture', (error) => error.slug);
    return [await slug(library.fullSnapshot(camera)), await slug(camera.snapshot())];
  });
  assert.deepEqual(refused, ['cameraShut', 'cameraShut']);
});
