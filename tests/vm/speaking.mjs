// Who talks through a viewer's page is heard at the guest's speaker: an end of snd-aloop, whose other end is recorded.
import assert from 'node:assert/strict';
import { existsSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

import { until } from '../browser/processes.mjs';
import { heardIn } from '../browser/wav.mjs';
import { SOON_MS } from './viewing.mjs';

/** Beside the microphone's end of the same card. All that it may hold: an emulated machine is held up now and then. */
export const SPEAKER = `
[camera.speaker]
sink = "alsa"
device = "plughw:CARD=Loopback,DEV=0,SUBDEV=1"
buffer_ms = 200
`;
const PLAYS = '/proc/asound/Loopback/pcm0p/sub1/status';
/** Two seconds in memory: the guest writes this through an emulated file system. */
const RECORDER = 'arecord -q -D plughw:CARD=Loopback,DEV=1,SUBDEV=1 -t wav -f S16_LE -r 48000 -c 1 --buffer-time=2000000';
/** What a gap may be. */
const GAP_MS = 60;

/** Holds the key to talk, and lets it go when `act()` has. */
export async function whileTalking(page, act) {
  const isPressed = (pressed) => page.locator(`[data-testid="talk"][aria-pressed="${pressed}"]`).waitFor({ timeout: SOON_MS });
  await page.keyboard.down('t');
  await isPressed(true);
  await act();
  await page.keyboard.up('t');
  await isPressed(false);
}

/**
 * Waits until the speaker has played `loudS` seconds of `hertz`, and `pieceS` of them without a gap; what it has played from now
 * on, as `heardIn` has it. The card takes its parameters from whoever opens it first, so somebody talks already.
 */
export async function isHeardAtTheSpeaker(guest, hertz, { loudS, pieceS }) {
  const file = path.join(guest.share, 'heard.wav');
  rmSync(file, { force: true });
  await guest.run(`until grep -q RUNNING ${PLAYS}; do sleep 0.1; done; ${RECORDER} /share/heard.wav </dev/null >/tmp/recorder.log 2>&1 & echo $! >/tmp/recorder.pid`);
  let [read, heard] = [0, { loudMs: 0, stretchMs: 0 }];
  const isThere = () => {
    const bytes = existsSync(file) ? statSync(file).size : 0;
    // A second more is worth a look.
    if (bytes < read + 96_000) return false;
    [read, heard] = [bytes, heardIn(file, GAP_MS)];
    return heard.loudMs >= loudS * 1_000 && heard.stretchMs >= pieceS * 1_000;
  };
  await until(`${loudS} s are heard, ${pieceS} in one piece`, isThere, SOON_MS).catch((error) => {
    throw new Error(`${error.message}; there is ${JSON.stringify(heard)} in ${read} bytes`);
  });
  await guest.run('kill $(cat /tmp/recorder.pid)');
  assert.ok(Math.abs(heard.hertz - hertz) < hertz / 100, `${heard.hertz} Hz`);
  return heard;
}
