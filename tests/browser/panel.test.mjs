// The settings of the camera: a panel made from what the camera reports, and the plots of its telemetry.
import assert from 'node:assert/strict';
import test from 'node:test';

import { keepScreenshot, launchBrowser, openPage } from './browser.mjs';
import { waitForPicture } from './page.mjs';
import { STAND_INS, startDemo, temporaryFile, temporaryFolder, until } from './processes.mjs';

const SIZES = [
  { width: 360, height: 640 },
  { width: 820, height: 1180 },
  { width: 1440, height: 900 },
];

/** In the page, before its own script: a camera that has controls, where the node's test pattern has none. */
function pretendControls() {
  const control = (id, name, kind, more) => ({ id, name, kind, minimum: 0, maximum: 255, step: 1, default: 128, readOnly: false, inactive: false, ...more });
  const controls = [
    control(1, 'Brightness', 'integer', { value: 128 }),
    control(2, 'White Balance, Automatic', 'boolean', { maximum: 1, value: 1 }),
    control(3, 'White Balance Temperature', 'integer', { minimum: 2800, maximum: 6500, step: 10, value: 4600, inactive: true }),
    control(4, 'Power Line Frequency', 'menu', { maximum: 2, value: 1, items: [{ value: 0, name: 'Disabled' }, { value: 1, name: '50 Hz' }, { value: 2, name: '60 Hz' }] }),
    control(5, 'Refocus', 'button', {}),
  ];
  window.asked = [];
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (text) {
    const { id, method, params } = this.label === 'control' ? JSON.parse(text) : {};
    const answer = (result) => this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify({ id, result }) }));
    if (method === 'camera.controls') {
      const rest = controls.filter((each) => each.id > params.after);
      return void setTimeout(answer, 0, rest.length > 3 ? { controls: rest.slice(0, 3), next: rest[2].id } : { controls: rest });
    }
    if (method === 'camera.setControl') {
      window.asked.push(params);
      const changed = controls.find((each) => each.id === params.id);
      if (changed.kind !== 'button') changed.value = params.value;
      if (changed.id === 2) controls[2].inactive = params.value === 1;
      return void setTimeout(answer, 0, { controls: changed.id === 2 ? [changed, controls[2]] : [changed] });
    }
    return send.call(this, text);
  };
}

async function openPanel(t, name) {
  const state = temporaryFolder(t);
  const config = temporaryFile(t, 'camera.toml', `[node]\nstate_folder = "${state}"\n${STAND_INS}`);
  const demo = await startDemo(t, name, ['--config', config]);
  const page = await openPage(await launchBrowser(t));
  await page.addInitScript(pretendControls);
  await page.goto(demo.page);
  await waitForPicture(page);
  await page.getByTestId('adjust').click();
  await page.getByTestId('panel').waitFor();
  return page;
}

test('what the panel sets is what the camera does', { timeout: 120_000 }, async (t) => {
  const page = await openPanel(t, 'demo-panel');
  const plate = page.getByTestId('state');
  await page.getByTestId('control-4').waitFor();

  await page.getByTestId('privacy').click();
  await plate.filter({ hasText: 'Switched off for privacy' }).waitFor();
  await page.getByTestId('control-1').waitFor({ state: 'detached' });
  await page.getByTestId('privacy').click();
  await plate.filter({ hasText: /^Live/ }).waitFor();
  await page.getByTestId('control-1').waitFor();

  await page.getByTestId('size').selectOption('640x360');
  await page.getByTestId('resolution').filter({ hasText: '640 × 360' }).waitFor();
  await page.getByTestId('fps-asked').evaluate((slider) => {
    slider.value = '10';
    slider.dispatchEvent(new Event('input'));
    slider.dispatchEvent(new Event('change'));
  });
  await page.getByTestId('fps').filter({ hasText: /^(9|10|11) fps/ }).waitFor();
  assert.equal(await page.getByTestId('fps-shown').innerText(), '10');

  await page.getByTestId('restart').click();
  await page.getByTestId('restart-no').click();
  await page.getByTestId('restart-question').waitFor({ state: 'hidden' });
  await page.keyboard.press('Escape');
  await page.getByTestId('panel').waitFor({ state: 'hidden' });
  assert.deepEqual(page.complaints, []);
});

test("the camera's own controls are what it reports, and one that another holds cannot be touched", { timeout: 60_000 }, async (t) => {
  const page = await openPanel(t, 'demo-controls');
  const held = page.getByTestId('control-3');
  await page.getByTestId('control-5').waitFor();
  assert.ok(await held.isDisabled());
  await page.getByTestId('control-2').click();
  await page.locator('[data-testid="control-3"]:enabled').waitFor();
  await page.getByTestId('control-4').selectOption({ label: '60 Hz' });
  await page.getByTestId('control-5').click();
  await page.getByTestId('control-1').evaluate((slider) => {
    slider.value = '200';
    slider.dispatchEvent(new Event('input'));
  });
  const asked = () => page.evaluate(() => window.asked.map(({ id, value }) => [id, value]));
  await until('all of it is asked', async () => (await asked()).length === 4);
  assert.deepEqual(await asked(), [[2, 0], [4, 2], [5, undefined], [1, 200]]);
});

test('the panel with its plots fits every screen, beside the picture', { timeout: 120_000 }, async (t) => {
  const page = await openPanel(t, 'demo-panel-sizes');
  // Two seconds make a line.
  for (const plot of ['load', 'memory', 'bitrate', 'rtt', 'latency']) await page.getByTestId(`plot-${plot}`).waitFor();
  await page.waitForFunction(() => document.querySelector('[data-testid="plot-load"] polyline').points.length >= 3);
  // Words that come while something is set: the longest that there are.
  await page.getByTestId('toast').evaluate((toast) => {
    toast.textContent = 'Camera and microphone are switched off. The camera cannot keep this over a restart: its disk is full, or read-only.';
    toast.dataset.shown = 'true';
  });
  for (const size of SIZES) {
    await page.setViewportSize(size);
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme });
      for (const end of ['top', 'bottom']) {
        await page.locator('.panel-body').evaluate((body, end) => {
          body.scrollTop = end === 'top' ? 0 : body.scrollHeight;
        }, end);
        await keepScreenshot(page, `panel-${end}-${size.width}-${colorScheme}`);
      }
      const misfits = await page.evaluate(() => {
        const inside = (outer, element) => {
          const box = element.getBoundingClientRect();
          return box.left >= outer.left - 1 && box.right <= outer.right + 1;
        };
        const panel = document.querySelector('.panel');
        const screen = { left: 0, right: innerWidth };
        const isShown = (element) => element.getClientRects().length > 0;
        const all = [...panel.querySelectorAll(':not(option)')].filter((element) => isShown(element) && !inside(panel.getBoundingClientRect(), element));
        const { scrollWidth } = document.documentElement;
        const [below, words, plate] = ['.panel', '.toast', '.plate'].map((each) => document.querySelector(each).getBoundingClientRect());
        const over = (one, other) => one.right > other.left && one.left < other.right && one.bottom > other.top && one.top < other.bottom;
        const covered = [...(over(words, below) ? ['words stand above the panel'] : []), ...(over(words, plate) ? ['words stand above the plate'] : [])];
        return [...covered, ...(inside(screen, panel) ? [] : ['the panel']), ...all.map((element) => element.outerHTML.slice(0, 80)), ...(scrollWidth > innerWidth ? ['the page'] : [])];
      });
      assert.deepEqual(misfits, [], `${size.width} px`);
    }
  }
  assert.deepEqual(page.complaints, []);
});
