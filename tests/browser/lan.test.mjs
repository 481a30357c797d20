// A camera on a LAN without any other server, watched from another machine: over http, over https, by its name.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { layCable, noNamespaces } from './network.mjs';
import { cardText, waitForPicture } from './page.mjs';
import { keepConnections, pairInUse } from './pair.mjs';
import { SMALL, binary, root, temporaryFile, temporaryFolder, until } from './processes.mjs';

const PAGE = 'http://10.78.0.1:8080/';
const SECURE_PAGE = 'https://10.78.0.1:8443/';
const PAGE_V6 = 'https://[fd78::1]:8443/';

/** A program that prints the fingerprint of the certificate that the page shows. */
const PRINT_SHOWN = `
const socket = require('node:tls').connect({ host: '10.78.0.1', port: 8443, rejectUnauthorized: false }, () => {
  console.log(socket.getPeerCertificate().fingerprint256);
  socket.destroy();
});`;

/** A node that listens to the LAN; `link()` is what `camera-node link --json` prints. */
async function startNode(t, name, cable, more = '', bind = '0.0.0.0') {
  const state = temporaryFolder(t);
  const config = temporaryFile(t, 'node.toml', `
[node]
id = "porch"
state_folder = "${state}"
${SMALL}
[broker]
embedded = true
[http]
bind = "${bind}:8080"
[http.tls]
self_signed = true
${more}`);
  const child = cable.camera.start(t, name, binary, ['run', '--config', config]);
  const health = ['-e', "fetch('http://127.0.0.1:8080/healthz').then(async (r) => console.log(await r.text())).catch(() => console.log(''))"];
  const isUp = () => cable.camera.run('node', health).includes('"broker":{"detail":"live"');
  await child.before(until('the node is at its broker', isUp, 30_000));
  const link = (args = []) => JSON.parse(cable.camera.run(binary, ['link', '--config', config, '--json', ...args]));
  return { child, config, link };
}

async function launch(t, cable) {
  return launchBrowser(t, { wrapped: (program) => cable.viewer.wrapper(t, program) });
}

test('http and https on a LAN: the picture comes by the link alone, and the notice only where it is true', { timeout: 120_000, skip: noNamespaces }, async (t) => {
  const cable = layCable(t);
  const node = await startNode(t, 'node-lan', cable);
  const { links, password, certificate_sha256: print } = node.link();
  assert.match(password, /^[\w-]{22}$/);
  assert.match(print, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  // What a person compares is what a browser gets, and what the log says.
  assert.equal(cable.viewer.run('node', ['-e', PRINT_SHOWN]).trim(), print);
  assert.ok(readFileSync(node.child.log, 'utf8').includes(`sha256="${print}"`), 'the log has it');
  assert.deepEqual(links, [
    `https://camera-porch.local:8443/#password=${password}`,
    `${SECURE_PAGE}#password=${password}`,
    `http://camera-porch.local:8080/#password=${password}`,
    `${PAGE}#password=${password}`,
  ]);

  const browser = await launch(t, cable);
  const page = await openPage(browser, { ignoreHTTPSErrors: true });
  await page.goto(PAGE);
  await page.locator('[data-reason="unauthorized"]').waitFor();
  assert.match(await cardText(page), /Invitation needed\s+The message broker lets in only who knows its password/);

  // Another fragment alone would not load the page again.
  await page.goto('about:blank');
  await page.goto(links[3]);
  assert.equal(await page.evaluate(() => isSecureContext), false);
  await waitForPicture(page);
  assert.equal(page.url(), PAGE, 'the password stands in the address no more');
  const notice = page.getByTestId('insecure');
  assert.match(await notice.innerText(), /keeps back your microphone, the list of your devices and a screen that stays on/);
  // What a page would do for a talk: there is nothing to ask, so the library says so in words.
  assert.equal(await page.evaluate(() => navigator.mediaDevices), undefined);
  await page.setViewportSize({ width: 360, height: 640 });
  await keepScreenshot(page, 'lan-http-360');
  await page.reload();
  await waitForPicture(page);

  await page.setViewportSize({ width: 1280, height: 720 });
  await page.mouse.move(200, 200);
  await notice.getByRole('link').click();
  await page.waitForURL(SECURE_PAGE);
  assert.equal(await page.evaluate(() => isSecureContext), true);
  await waitForPicture(page);
  assert.equal(await notice.isVisible(), false);
  assert.equal(await page.evaluate(() => 'getUserMedia' in navigator.mediaDevices), true);
  assert.deepEqual(page.complaints.filter((said) => !said.includes('WebSocket')), []);
});

test('a link to a node with IPv6 alone carries password and token, and either alone is not enough', { timeout: 120_000, skip: noNamespaces }, async (t) => {
  const cable = layCable(t, { v6: true });
  const keys = temporaryFolder(t);
  cable.camera.run(binary, ['keys', 'make', '--kid', 'test', '--dir', keys]);
  const more = `[access]\nmode = "token"\n[[access.keys]]\nkid = "test"\nfile = "${keys}/test.public.pem"\n`;
  const node = await startNode(t, 'node-lan-tokens', cable, more, '[::]');
  const { links, password, token } = node.link(['--for', '5m', '--scope', 'view']);
  const secrets = `#password=${password}&token=${token}`;
  assert.ok(links.includes(`${PAGE_V6}${secrets}`), String(links));
  const page = await openPage(await launch(t, cable), { ignoreHTTPSErrors: true });
  await page.goto(`${PAGE_V6}#token=${token}`);
  await page.locator('[data-reason="unauthorized"]').waitFor();
  const other = await openPage(page.context().browser(), { ignoreHTTPSErrors: true });
  await other.goto(`${PAGE_V6}#password=${password}`);
  await other.locator('[data-reason="tokenMissing"]').waitFor();
  await other.goto('about:blank');
  await keepConnections(other);
  await other.goto(`${PAGE_V6}${secrets}`);
  await waitForPicture(other);
  const { theirs } = await pairInUse(other);
  assert.equal(theirs.address, 'fd78::1');
});

test('the node answers for its name on the LAN, also at a new address, and says goodbye', { timeout: 120_000, skip: noNamespaces }, async (t) => {
  const cable = layCable(t);
  const node = await startNode(t, 'node-mdns', cable);
  const ask = (...args) => JSON.parse(cable.viewer.run('node', [path.join(root, 'tests/browser/ask-mdns.mjs'), ...args]));
  assert.deepEqual(ask('camera-porch.local', 'A'), ['10.78.0.1']);
  assert.deepEqual(ask('_camera-node._tcp.local', 'PTR'), ['porch._camera-node._tcp.local']);
  cable.camera.ip('addr add 10.78.0.7/24 dev wire');
  assert.ok(ask('camera-porch.local', 'A', '10.78.0.7').includes('10.78.0.7'));
  const { code } = await node.child.end();
  assert.equal(code, 0);
});
