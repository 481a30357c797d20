// A node that lets in whoever has a token: what the page says without one, with one, and when it ends; and the library
// that renews it.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { launchBrowser, openPage } from './browser.mjs';
import { cardText, waitForPicture, waitForState } from './page.mjs';
import { SMALL, answers, binary, Child, freePort, root, temporaryFile, temporaryFolder, until } from './processes.mjs';

const skip = spawnSync(binary, ['token', '--help']).status === 0 ? false : 'this camera-node knows no tokens';

/** A node on loopback that wants tokens; `page`, and `token(forTime, node)` to make some. */
async function startGuarded(t, name) {
  const [keys, media] = [temporaryFolder(t), temporaryFolder(t)];
  writeFileSync(path.join(media, 'clip.mp4'), 'clip');
  execFileSync(binary, ['keys', 'make', '--kid', 'test', '--dir', keys]);
  const [http, tcp, ws] = [await freePort(), await freePort(), await freePort()];
  const config = temporaryFile(t, 'node.toml', `
[node]
id = "porch"
${SMALL}
[broker]
embedded = true
embedded_bind = "127.0.0.1:${tcp}"
embedded_websocket_bind = "127.0.0.1:${ws}"
[http]
bind = "127.0.0.1:${http}"
[files]
folder = "${media}"
[access]
mode = "token"
[[access.keys]]
kid = "test"
file = "${keys}/test.public.pem"
`);
  const child = new Child(t, name, binary, ['run', '--config', config]);
  await child.before(until('the page and the broker are there', async () => (await answers(http)) && (await answers(ws))));
  const token = (lasts, node = 'porch', scope = 'view') => {
    const args = ['token', '--peer', 'v-*', '--key', `${keys}/test.private.pem`, '--node', node, '--for', lasts, '--scope', scope, '--json'];
    return JSON.parse(execFileSync(binary, args, { encoding: 'utf8' })).token;
  };
  return { page: `http://127.0.0.1:${http}/`, broker: `ws://127.0.0.1:${ws}/mqtt`, token };
}

test('what the page says without a token, with one, with a wrong one, and at its end', { timeout: 120_000, skip }, async (t) => {
  const node = await startGuarded(t, 'node-tokens');
  const browser = await launchBrowser(t);
  const page = await openPage(browser);
  await page.goto(node.page);
  await page.locator('[data-reason="tokenMissing"]').waitFor();
  assert.match(await cardText(page), /Invitation needed\s+This camera can only be watched with an access token\.\s+Open it with the link/);

  await page.goto(`${node.page}#token=${node.token('8s')}`);
  await waitForPicture(page);
  await page.reload();
  await waitForPicture(page);
  await page.locator('[data-reason="expired"]').waitFor({ timeout: 20_000 });
  assert.match(await cardText(page), /Permission ended\s+.*run out, or was taken back\.\s+Ask for a new link\./);
  await page.getByTestId('connect').click();
  await page.locator('[data-reason="tokenExpired"]').waitFor();
  assert.match(await cardText(page), /Invitation expired/);

  await page.goto(`${node.page}#token=${node.token('1h')}`);
  await waitForPicture(page);
  // Who may only look sees how the board is, and is offered nothing to change.
  await page.getByTestId('adjust').click();
  await page.getByTestId('plot-load').waitFor();
  assert.equal(await page.getByTestId('panel-title').innerText(), 'How the camera is');
  for (const change of ['settings', 'restart', 'files-section']) assert.ok(await page.getByTestId(change).isHidden(), change);

  await page.goto(`${node.page}#token=${node.token('1h', 'porch', 'view,control')}`);
  await waitForPicture(page);
  await page.locator('[data-testid="adjust"][aria-label="Camera settings"]').click();
  for (const change of ['settings', 'restart']) await page.getByTestId(change).waitFor();
  assert.ok(await page.getByTestId('files-section').isHidden());

  await page.goto(`${node.page}#token=${node.token('1h', 'porch', 'view,files')}`);
  await waitForPicture(page);
  await page.getByTestId('adjust').click();
  await page.getByTestId('file').filter({ hasText: 'clip.mp4' }).waitFor();
  for (const change of ['settings', 'restart']) assert.ok(await page.getByTestId(change).isHidden(), change);

  await page.goto(`${node.page}#token=${node.token('1h', 'garden')}`);
  await page.locator('[data-reason="notAllowed"]').waitFor();
  // The reason is the node's own sentence.
  assert.match(await cardText(page), /Not allowed\s+You may not watch this camera\. \S.*\s+Ask whoever/);
  assert.deepEqual(page.complaints, []);
});

test('a token from a function is renewed in band, and the picture goes on past its end', { timeout: 90_000, skip }, async (t) => {
  const node = await startGuarded(t, 'node-renewal');
  const page = await openPage(await launchBrowser(t), { bypassCSP: true });
  // A page without a camera of its own, to which the library is brought.
  await page.goto(`${node.page}#broker=none`);
  await waitForState(page, 'idle');
  const { build } = await import(path.join(root, 'src/viewer/node_modules/esbuild/lib/main.js'));
  const bundled = await build({
    stdin: { contents: 'export { Camera } from "./lib/index.ts";', resolveDir: path.join(root, 'src/viewer') },
    bundle: true,
    write: false,
    format: 'iife',
    globalName: 'viewer',
  });
  await page.addScriptTag({ content: bundled.outputFiles[0].text });
  let made = 0;
  await page.exposeFunction('makeToken', () => {
    made += 1;
    return node.token('12s');
  });
  await page.evaluate((broker) => {
    const camera = new window.viewer.Camera({ broker, node: 'porch', token: () => window.makeToken() });
    window.watched = { camera, states: [] };
    camera.on('state', ({ state, reason }) => window.watched.states.push(`${state} ${reason}`));
    camera.start();
  }, node.broker);
  // By then the first two have long ended.
  await until('the fourth token', () => made === 4, 40_000);
  const seen = await page.evaluate(() => {
    const { camera, states } = window.watched;
    const joins = camera.events.filter(({ name }) => name === 'join').length;
    return { since: states.slice(states.indexOf('live live')), joins, framesDecoded: camera.stats.framesDecoded };
  });
  assert.deepEqual([seen.since, seen.joins], [['live live'], 1]);
  assert.ok(seen.framesDecoded > 300, `${seen.framesDecoded} pictures in 18 s`);
});
