// The viewer's page as a person uses it, found by its `data-state` and `data-testid` marks.

/** Waits until the page says that it is in `state`. */
export async function waitForState(page, state, timeout = 15_000) {
  await page.locator(`[data-state="${state}"]`).first().waitFor({ timeout });
}

/** Waits until the first picture is shown. */
export async function waitForPicture(page, timeout = 15_000) {
  await waitForState(page, 'live', timeout);
  await page.waitForFunction(
    () => {
      const video = document.querySelector('video');
      return video && video.videoWidth > 0 && !video.paused && video.currentTime > 0;
    },
    null,
    { timeout },
  );
}

/** Pairs of these elements that stand above each other, and those that are not wholly on the screen. */
export async function crowded(page, testIds) {
  const { width, height } = page.viewportSize();
  const boxes = await Promise.all(testIds.map(async (testId) => ({ testId, ...(await page.getByTestId(testId).boundingBox()) })));
  const cut = boxes.filter(({ x, y, width: w, height: h }) => !(x >= 0 && y >= 0 && x + w <= width && y + h <= height));
  const above = (one, two) => one.x < two.x + two.width && two.x < one.x + one.width && one.y < two.y + two.height && two.y < one.y + one.height;
  const pairs = boxes.flatMap((one, i) => boxes.slice(i + 1).filter((two) => above(one, two)).map((two) => [one, two]));
  return [...cut, ...pairs].map((each) => JSON.stringify(each));
}

/** The button that brings the sound. */
export function soundButton(page) {
  return page.getByTestId('sound');
}

/** What can be read on the card, which fades in. */
export async function cardText(page) {
  await page.waitForFunction(() => document.querySelector('[data-testid="card"]').innerText !== '');
  return page.getByTestId('card').innerText();
}
