// The choice of a loudspeaker: what is chosen plays, and what the browser refuses is said.
import assert from 'node:assert/strict';
import test from 'node:test';

import { openPage } from './browser.mjs';
import { waitForPicture } from './page.mjs';
import { SMALL, startDemo, temporaryFile, until } from './processes.mjs';
import { talkingBrowser } from './talking.mjs';

test('the loudspeaker that is chosen plays; one that is refused is said, and the choice stays as it was', { timeout: 120_000 }, async (t) => {
  const [browser, demo] = await Promise.all([talkingBrowser(t, 1_000), startDemo(t, 'demo-speaker', ['--config', temporaryFile(t, 'camera.toml', SMALL)])]);
  const page = await openPage(browser);
  await page.goto(demo.page);
  await waitForPicture(page, 60_000);
  await page.getByTestId('device').click();
  if (await page.getByTestId('devices-allow').isVisible()) await page.getByTestId('devices-allow').click();
  const menu = page.getByTestId('speakers');
  const plays = () => page.evaluate(() => document.querySelector('video').sinkId);
  const chosen = () => menu.evaluate((element) => element.value);
  await until('the loudspeakers have names', async () => (await menu.locator('option').allTextContents()).some((name) => /^Fake Audio Output/.test(name)));
  const [name] = (await menu.locator('option').allTextContents()).filter((each) => /^Fake Audio Output/.test(each));
  await menu.selectOption({ label: name });
  const id = await chosen();
  assert.notEqual(id, '');
  await until('it plays there', async () => (await plays()) === id);

  // One that has gone since the menu was made: the browser itself refuses it.
  await menu.evaluate((element) => element.append(new Option('Pulled out', 'f'.repeat(64))));
  await menu.selectOption({ label: 'Pulled out' });
  await page.locator('.toast[data-shown="true"]').filter({ hasText: 'This loudspeaker cannot be used. The sound stays where it was.' }).waitFor();
  assert.deepEqual([await plays(), await chosen()], [id, id]);

  await menu.selectOption({ label: "The system's choice" });
  await until('the system chooses again', async () => (await plays()) === '');
  assert.deepEqual(page.complaints, []);
});
