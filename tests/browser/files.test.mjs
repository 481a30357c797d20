// The node's folder of files in the page's panel: seen, fetched whole, deleted, and not there where there is none.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { waitForPicture } from './page.mjs';
import { SMALL, startDemo, temporaryFile, temporaryFolder, until } from './processes.mjs';

const CLIP_BYTES = 5_000_000;
const SIZES = [[360, 640], [820, 1180], [1440, 900]];

/** A demo with these files, of which each is a day older than the one before, and its page, with the panel open. */
async function begin(t, name, contents) {
  const folder = temporaryFolder(t);
  const media = path.join(folder, 'media');
  mkdirSync(media);
  Object.entries(contents).forEach(([file, content], days) => {
    writeFileSync(path.join(media, file), content);
    const written = 1_795_298_112 - days * 86_400;
    utimesSync(path.join(media, file), written, written);
  });
  const text = `[node]\nstate_folder = "${folder}"\n[files]\nfolder = "${media}"\n${SMALL}`;
  const demo = await startDemo(t, name, ['--config', temporaryFile(t, 'camera.toml', text)]);
  const page = await openPage(await launchBrowser(t));
  await page.addInitScript(observe);
  await page.goto(demo.page);
  await waitForPicture(page, 60_000);
  await page.getByTestId('adjust').click();
  await page.getByTestId('file').first().waitFor();
  return { page, media };
}

/** In the page: `window.told` is what each file's line has said of how far it is; `window.atHalf` is done once it is half way. */
function observe() {
  window.told = [];
  window.atHalf = () => {};
  const look = () => {
    for (const words of document.querySelectorAll('[data-testid="file"] small')) {
      const percent = / % of /.test(words.textContent) ? Number.parseInt(words.textContent, 10) : undefined;
      if (percent === undefined || percent === window.told.at(-1)) continue;
      window.told.push(percent);
      if (percent < 50) continue;
      window.atHalf();
      window.atHalf = () => {};
    }
  };
  addEventListener('DOMContentLoaded', () => new MutationObserver(look).observe(document.querySelector('[data-testid="files"]'), { childList: true, subtree: true, characterData: true }));
}

const row = (page, name) => page.getByTestId('file').filter({ hasText: name });
const names = (page) => page.locator('[data-testid="file"] .file-words span').allTextContents();
const toast = (page, words) => page.locator('.toast[data-shown="true"]').filter({ hasText: words }).waitFor();

/** Fetches it by its button; gives what the browser has saved. */
async function fetched(page, name) {
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: 90_000 }), row(page, name).getByTestId('file-download').click()]);
  assert.equal(download.suggestedFilename(), name);
  await toast(page, `Saved ${name}`);
  return readFileSync(await download.path());
}

test('the newest file stands first, is fetched whole while one sees how far it is, and goes when a person has said so', { timeout: 180_000 }, async (t) => {
  const clip = randomBytes(CLIP_BYTES);
  const { page, media } = await begin(t, 'demo-panel-files', { 'a first.txt': 'first', 'clip.mp4': clip, '.hidden': 'hidden', 'b older.txt': '' });
  assert.deepEqual(await names(page), ['a first.txt', 'clip.mp4', 'b older.txt']);
  assert.match(await row(page, 'clip.mp4').innerText(), /clip\.mp4\s+5\.0 MB · .*2026/);

  assert.ok((await fetched(page, 'clip.mp4')).equals(clip), 'its bytes are those of the folder');
  const told = await page.evaluate(() => window.told);
  assert.ok(told.length >= 10 && told.every((percent, n) => n === 0 || percent > told[n - 1]), `one sees it grow: ${told}`);
  await row(page, 'clip.mp4').filter({ hasText: '5.0 MB · ' }).waitFor();
  assert.equal((await fetched(page, 'b older.txt')).length, 0, 'an empty one is one too');

  await row(page, 'clip.mp4').getByTestId('file-delete').click();
  await page.getByTestId('delete-question').filter({ hasText: 'Delete clip.mp4?' }).waitFor();
  await page.getByTestId('delete-no').click();
  // Escape is a no as well, and closes the question alone.
  await row(page, 'clip.mp4').getByTestId('file-delete').click();
  await page.keyboard.press('Escape');
  await page.getByTestId('delete-question').waitFor({ state: 'hidden' });
  assert.deepEqual([await page.getByTestId('panel').isVisible(), existsSync(path.join(media, 'clip.mp4'))], [true, true]);
  await row(page, 'clip.mp4').getByTestId('file-delete').click();
  await page.getByTestId('delete-yes').click();
  await toast(page, 'Deleted clip.mp4');
  await row(page, 'clip.mp4').waitFor({ state: 'detached' });
  assert.equal(existsSync(path.join(media, 'clip.mp4')), false);

  for (const name of ['a first.txt', 'b older.txt']) {
    await row(page, name).getByTestId('file-delete').click();
    await page.getByTestId('delete-yes').click();
    await row(page, name).waitFor({ state: 'detached' });
  }
  await page.getByTestId('files-words').filter({ hasText: 'There are none now.' }).waitFor();
  assert.deepEqual(page.complaints, []);
});

test('a fetch goes on by itself where the session broke, and ends at once for who has enough of it', { timeout: 180_000 }, async (t) => {
  const clip = randomBytes(CLIP_BYTES);
  const { page } = await begin(t, 'demo-panel-break', { 'clip.mp4': clip });
  await page.evaluate(() => {
    const { camera } = window.cameraNode;
    window.atHalf = () => {
      camera.stop();
      camera.start();
    };
  });
  assert.ok((await fetched(page, 'clip.mp4')).equals(clip), 'its bytes are those of the folder');
  const [joins, told] = await page.evaluate(() => [window.cameraNode.events.filter(({ name }) => name === 'join').length, window.told]);
  assert.equal(joins, 2, 'the session broke');
  assert.ok(told.every((percent, n) => n === 0 || percent > told[n - 1]), `from where it was: ${told}`);

  await page.evaluate(() => {
    window.told = [];
    window.atHalf = () => document.querySelector('[data-testid="file-download"]').click();
  });
  let isSaved = false;
  page.on('download', () => {
    isSaved = true;
  });
  await row(page, 'clip.mp4').getByTestId('file-download').click();
  await until('half of it has come', () => page.evaluate(() => window.told.some((percent) => percent >= 50)), 60_000);
  await page.locator('[data-testid="file-download"][aria-label="Download clip.mp4"]').waitFor();
  const most = await page.evaluate(() => window.told.at(-1));
  assert.deepEqual([isSaved, most < 90], [false, true], `${most} %`);
  assert.deepEqual(page.complaints, []);
});

test('many files, with long names, fit every screen, dark and light, and are shown bit by bit', { timeout: 180_000 }, async (t) => {
  const many = Object.fromEntries(Array.from({ length: 34 }, (_, n) => [`front-2026-11-${String(n).padStart(2, '0')}.mp4`, 'x'.repeat(n * 1_000)]));
  const { page } = await begin(t, 'demo-panel-many', { [`${'long'.repeat(60)}.mp4`]: 'long', ...many });
  assert.equal((await names(page)).length, 30);
  await page.getByTestId('files-more').filter({ hasText: 'Show 5 more' }).click();
  await page.getByTestId('file').nth(34).waitFor();
  assert.ok(await page.getByTestId('files-more').isHidden());
  // One that is on its way, and one that is asked about.
  await page.evaluate(() => {
    const [, line] = document.querySelectorAll('[data-testid="file"]');
    Object.assign(line.querySelector('progress'), { hidden: false, max: 100, value: 37 });
    line.querySelector('small').textContent = '37 % of 5.0 MB';
    document.querySelector('[data-testid="files-section"]').scrollIntoView();
  });
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate(() => document.querySelector('[data-testid="files-section"]').scrollIntoView());
      await keepScreenshot(page, `files-${width}-${colorScheme}`);
      const misfits = await page.evaluate(() => {
        const panel = document.querySelector('.panel').getBoundingClientRect();
        const small = [...document.querySelectorAll('.file-button')].filter((button) => Math.min(button.offsetWidth, button.offsetHeight) < 44);
        const wide = [...document.querySelectorAll('.panel *:not(option)')].filter((element) => {
          const { left, right, width } = element.getBoundingClientRect();
          return width > 0 && (left < panel.left - 1 || right > panel.right + 1);
        });
        return [...small, ...wide].map((element) => element.outerHTML.slice(0, 80));
      });
      assert.deepEqual(misfits, [], `${width} px`);
      await page.getByTestId('file-delete').first().click();
      const box = await page.getByTestId('delete-question').boundingBox();
      assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height, `the question at ${width}: ${JSON.stringify(box)}`);
      await keepScreenshot(page, `files-delete-${width}-${colorScheme}`);
      await page.getByTestId('delete-no').click();
    }
  }
  assert.deepEqual(page.complaints, []);
});

test('a node without a folder has no list of files', { timeout: 120_000 }, async (t) => {
  const demo = await startDemo(t, 'demo-panel-none', ['--config', temporaryFile(t, 'camera.toml', SMALL)]);
  const page = await openPage(await launchBrowser(t));
  await page.goto(demo.page);
  await waitForPicture(page, 60_000);
  await page.evaluate(() => {
    window.refusals = [];
    window.cameraNode.camera.on('channelClosed', ({ label, error }) => window.refusals.push([label, error.slug]));
  });
  await page.getByTestId('adjust').click();
  await until('the node has said so', () => page.evaluate(() => window.refusals.length > 0), 30_000);
  assert.deepEqual(await page.evaluate(() => window.refusals), [['files', 'noSuchChannel']]);
  await page.getByTestId('plot-load').waitFor();
  assert.ok(await page.getByTestId('files-section').isHidden());
  assert.equal(await page.locator('.toast[data-shown="true"]').count(), 0, 'which is nobody\'s fault');
  assert.deepEqual(page.complaints, []);
});
