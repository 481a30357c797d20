// A browser whose microphone plays a tone.
import path from 'node:path';

import { launchBrowser } from './browser.mjs';
import { temporaryFolder } from './processes.mjs';
import { writeTone } from './wav.mjs';

/** One that says `hertz` for ever; `granted` is whether its microphone may be used. */
export function talkingBrowser(t, hertz, { granted = true } = {}) {
  const tone = path.join(temporaryFolder(t), 'tone.wav');
  writeTone(tone, hertz, 4);
  const more = ['--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${tone}`];
  return launchBrowser(t, { more: granted ? [...more, '--use-fake-ui-for-media-stream'] : more });
}

/** Has `page`, before it is loaded, take the microphone as it is: a tone without end is noise to a browser, which takes it away. */
export async function takeSoundAsItIs(page) {
  await page.addInitScript(() => {
    const media = navigator.mediaDevices;
    const ask = media.getUserMedia.bind(media);
    media.getUserMedia = () => ask({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  });
}
