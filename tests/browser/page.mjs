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

/** The button that brings the sound. */
export function soundButton(page) {
  return page.getByTestId('sound');
}

/** What can be read on the card, which fades in. */
export async function cardText(page) {
  await page.waitForFunction(() => document.querySelector('[data-testid="card"]').innerText !== '');
  return page.getByTestId('card').innerText();
}
