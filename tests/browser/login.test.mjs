// deploy/README's "From anywhere, with a server of your own": the shipped rules of Mosquitto, a page from another web host, a link.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { cardText, waitForPicture } from './page.mjs';
import { SMALL, answers, binary, Child, freePort, root, temporaryFolder, until } from './processes.mjs';

const SIZES = [[360, 640], [820, 1180], [1440, 900]];
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.json': 'application/json' };

/** The shipped broker, but on loopback, with `anna`'s password in plain sight, and a door for the node that wants no certificate. */
async function startBroker(t, folder) {
  const [tcp, ws] = [await freePort(), await freePort()];
  const shipped = readFileSync(path.join(root, 'deploy/mosquitto/camera-node.conf'), 'utf8').split(/^(?=listener )/m);
  assert.equal(shipped.length, 3, 'what is for all, for nodes and for viewers');
  const viewers = shipped[2]
    .split('\n')
    .filter((line) => !/^(cafile|certfile|keyfile) /.test(line))
    .join('\n')
    .replace('listener 9443', `listener ${ws} 127.0.0.1`)
    .replace('/etc/mosquitto/viewers.passwd', path.join(folder, 'viewers.passwd'))
    .replace('/etc/mosquitto/viewers.acl', path.join(root, 'deploy/mosquitto/viewers.acl'));
  execFileSync('mosquitto_passwd', ['-c', '-b', path.join(folder, 'viewers.passwd'), 'anna', 'pa ss&wörd']);
  const config = path.join(folder, 'mosquitto.conf');
  // Started as root it would give up its rights, and with them these files.
  const user = process.getuid() === 0 ? 'user root\n' : '';
  writeFileSync(config, `${user}${shipped[0]}listener ${tcp} 127.0.0.1\nallow_anonymous true\n${viewers}`);
  const child = new Child(t, 'mosquitto-login', '/usr/sbin/mosquitto', ['-v', '-c', config]);
  await child.before(until('mosquitto listens', async () => (await answers(tcp)) && (await answers(ws))));
  return { url: `mqtt://127.0.0.1:${tcp}`, wsUrl: `ws://127.0.0.1:${ws}/mqtt` };
}

/** A web host that has the exported page in `/page/`. */
async function servePage(t, folder) {
  execFileSync(binary, ['viewer', '--export', path.join(folder, 'page')]);
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://host');
    const file = path.join(folder, pathname.endsWith('/') ? `${pathname}index.html` : pathname);
    const type = TYPES[path.extname(file)];
    if (type === undefined || !existsSync(file)) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': type }).end(readFileSync(file));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${server.address().port}/page/`;
}

async function looksRight(page) {
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      await keepScreenshot(page, `login-${width}-${colorScheme}`);
    }
    const outside = await page.evaluate(() => {
      const seen = [...document.querySelectorAll('.card-title, .card-text, .setup input, .setup button')];
      return seen.filter((element) => {
        const { left, right, top, bottom } = element.getBoundingClientRect();
        return left < 0 || top < 0 || right > innerWidth || bottom > innerHeight;
      }).map((element) => element.textContent || element.name);
    });
    assert.deepEqual(outside, [], `${width} x ${height}`);
  }
}

test('a broker that wants a user name and a password is given them on the page, and tells when the node is gone', { timeout: 120_000 }, async (t) => {
  const folder = temporaryFolder(t);
  const broker = await startBroker(t, folder);
  const host = await servePage(t, folder);
  execFileSync(binary, ['keys', 'make', '--kid', 'test', '--dir', folder]);
  const config = path.join(folder, 'node.toml');
  writeFileSync(config, `
[node]
id = "porch"
${SMALL}
[broker]
url = "${broker.url}"
websocket_url = "${broker.wsUrl}"
[ice]
include_loopback = true
[http]
enabled = false
[access]
mode = "token"
[[access.keys]]
kid = "test"
file = "${folder}/test.public.pem"
`);
  const node = new Child(t, 'node-login', binary, ['run', '--config', config]);
  const made = execFileSync(binary, ['token', '--config', config, '--key', path.join(folder, 'test.private.pem'), '--peer', 'v-*', '--for', '1h', '--link', host], { encoding: 'utf8' });
  const [link] = /http:\S+/.exec(made);

  const page = await openPage(await launchBrowser(t));
  let connections = 0;
  page.on('websocket', () => (connections += 1));
  await page.goto(link);
  const form = page.getByTestId('login');
  await form.waitFor();
  assert.match(await cardText(page), /Sign in\s+The broker of this camera asks for a user name and a password\./);
  assert.equal(await page.locator('[name="broker"]').inputValue(), broker.wsUrl);
  assert.equal(await page.locator('[name="node"]').inputValue(), 'porch');
  await looksRight(page);

  const signIn = async (username, password) => {
    await page.locator('[name="username"]').fill(username);
    await page.locator('[name="password"]').fill(password);
    await page.getByTestId('watch').click();
  };
  assert.equal(connections, 1, 'tried once, and then no more while somebody has to type');
  await signIn('anna', 'wrong');
  await page.getByTestId('card-text').filter({ hasText: 'The broker did not take this user name and password.' }).waitFor();
  assert.equal(await page.locator('[name="username"]').inputValue(), 'anna');
  assert.equal(connections, 2);

  await signIn('anna', 'pa ss&wörd');
  await waitForPicture(page);
  assert.equal(await form.isVisible(), false);
  for (const secret of ['anna', 'pa', 'token']) assert.ok(!new URL(page.url()).hash.includes(`=${secret}`), page.url());

  await page.reload();
  await waitForPicture(page);
  assert.equal(connections, 4, 'at once with what was typed');

  // Killed, the node says no farewell: its broker does. Which is not told as a path that is lost.
  await page.evaluate(() => {
    window.reasons = [];
    window.cameraNode.camera.on('state', ({ reason }) => window.reasons.push(reason));
  });
  node.signal('SIGKILL');
  await page.getByTestId('state').filter({ hasText: 'Camera offline' }).waitFor({ timeout: 20_000 });
  assert.deepEqual(await page.evaluate(() => window.reasons.slice(0, 1)), ['nodeAway']);
  assert.deepEqual(page.complaints, []);
});
