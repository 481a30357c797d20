// What a viewer sees and hears, taken in the page: the functions here run inside the browser.
import { BLOCKS, ageMs, readStamp } from './stamp.mjs';

/**
 * Watches the page's video for `seconds`: every frame shown, with its stamp (`null` without), its age at that moment, and a
 * thumbnail (luma) by which change is seen where there is no stamp.
 */
export async function watchPicture(page, seconds) {
  const frames = await page.evaluate(watchInPage, { seconds, blocks: BLOCKS });
  return frames.map(({ lumas, ...frame }) => {
    const stamp = readStamp(lumas);
    return { ...frame, stamp, ageMs: stamp === null ? null : ageMs(frame.wallMs, stamp) };
  });
}

/** The picture as it stands now, also one that has stopped. */
export async function look(page) {
  const [frame] = await page.evaluate(watchInPage, { seconds: 0, blocks: BLOCKS });
  return frame;
}

/** The spectrum of the page's remote sound, in dB, the mean over `seconds`: what is always there stands out of what comes and goes. */
export async function listen(page, seconds) {
  return page.evaluate(listenInPage, { seconds });
}

/**
 * Flash and beep over `seconds`, as [time in ms, level] each: the luma of the test pattern's flash by the time a frame is
 * shown, the level of `hertz` by the time it is played, both on the page's clock.
 */
export async function flashesAndBeeps(page, seconds, hertz) {
  const [frames, sound] = await Promise.all([
    page.evaluate(watchInPage, { seconds, blocks: BLOCKS }),
    page.evaluate(beepsInPage, { seconds, hertz }),
  ]);
  return { picture: frames.map((frame) => [frame.shownMs, frame.flash]), sound };
}

/** How often the picture changed from one of `frames` to the next: more than the noise of an encoder in any of 64 x 36 dots. */
export function changes(frames) {
  return frames.filter((frame, i) => i > 0 && differs(frame, frames[i - 1])).length;
}

/** Whether two frames show something else. */
export function differs(one, other, by = 12) {
  return one.thumbnail.some((luma, i) => Math.abs(luma - other.thumbnail[i]) > by);
}

async function watchInPage({ seconds, blocks }) {
  const video = document.querySelector('video');
  const frames = [];
  const copies = [];
  const end = performance.now() + seconds * 1000;

  const take = async (metadata) => {
    const wallMs = Date.now();
    // The decoder's own luma plane: much cheaper than a canvas, which has to make colours of it first.
    const frame = new VideoFrame(video);
    const { width, height } = frame.visibleRect;
    const bytes = new Uint8Array(frame.allocationSize());
    const entry = { wallMs, shownMs: metadata.expectedDisplayTime, rtp: metadata.rtpTimestamp, width, height };
    frames.push(entry);
    const { format } = frame;
    const [plane] = await frame.copyTo(bytes);
    frame.close();
    if (format !== 'I420' && format !== 'NV12') throw new Error(`no luma plane in ${format}`);

    /** Mean of a square around a point, at most `side` wide. */
    const mean = (x, y, side) => {
      const [left, top, size] = [x - side / 2, y - side / 2, side].map(Math.floor);
      let sum = 0;
      for (let line = top; line < top + size; line += 1) {
        const start = plane.offset + line * plane.stride + left;
        for (let at = start; at < start + size; at += 1) sum += bytes[at];
      }
      return sum / (size * size);
    };
    const side = Math.max(8, Math.floor(width / blocks / 2) * 2);
    const blockNumbers = side * blocks <= width ? [...Array(blocks).keys()] : [];
    // The middle of each block, which an encoder's ringing at the edges does not reach.
    entry.lumas = blockNumbers.map((block) => mean(block * side + side / 2, side / 2, side / 2));
    // The test pattern flashes in a square of a sixth of its height, at the right edge below the middle.
    entry.flash = mean(width * 0.975 - height / 12, height * 0.53 + height / 12, height / 12);
    const dot = Math.max(1, Math.floor(width / 128));
    entry.thumbnail = Array.from({ length: 64 * 36 }, (_, i) =>
      Math.round(mean(((i % 64) + 0.5) * (width / 64), (Math.floor(i / 64) + 0.5) * (height / 36), dot)),
    );
  };

  if (seconds === 0) {
    await take({});
    return frames;
  }
  await new Promise((resolve) => {
    const next = (now, metadata) => {
      copies.push(take(metadata));
      if (performance.now() < end) video.requestVideoFrameCallback(next);
      else resolve();
    };
    video.requestVideoFrameCallback(next);
    // A picture that has stopped calls back no more.
    setTimeout(resolve, seconds * 1000 + 200);
  });
  await Promise.all(copies);
  return frames;
}

async function listenInPage({ seconds }) {
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const source = context.createMediaStreamSource(document.querySelector('video').srcObject);
  const analyser = new AnalyserNode(context, { fftSize: 16384, smoothingTimeConstant: 0 });
  source.connect(analyser);
  const spectrum = new Float32Array(analyser.frequencyBinCount);
  const sum = new Float32Array(analyser.frequencyBinCount);
  let count = 0;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    analyser.getFloatFrequencyData(spectrum);
    // Silence is minus infinity.
    for (let i = 0; i < spectrum.length; i += 1) sum[i] += Math.max(-200, spectrum[i]);
    count += 1;
  }
  await context.close();
  return { binHertz: 48000 / 16384, spectrum: Array.from(sum, (value) => value / count) };
}

async function beepsInPage({ seconds, hertz }) {
  // Runs on the audio thread: the level of one frequency in every 128 samples and the 384 before (Goertzel).
  const code = `registerProcessor('detector', class extends AudioWorkletProcessor {
    constructor({ processorOptions: { hertz } }) {
      super();
      this.factor = 2 * Math.cos((2 * Math.PI * hertz) / sampleRate);
      this.window = new Float32Array(512);
    }
    process([[channel]]) {
      this.window.copyWithin(0, 128);
      if (channel) this.window.set(channel, 384);
      else this.window.fill(0, 384);
      let [one, two] = [0, 0];
      for (const sample of this.window) [one, two] = [sample + this.factor * one - two, one];
      const power = one * one + two * two - this.factor * one * two;
      // The middle of the window.
      this.port.postMessage([currentTime + (128 - 256) / sampleRate, Math.sqrt(Math.max(0, power)) / 256]);
      return true;
    }
  });`;
  const context = new AudioContext({ sampleRate: 48000 });
  await context.audioWorklet.addModule(`data:text/javascript,${encodeURIComponent(code)}`);
  await context.resume();
  const source = context.createMediaStreamSource(document.querySelector('video').srcObject);
  const detector = new AudioWorkletNode(context, 'detector', { processorOptions: { hertz } });
  const quiet = new GainNode(context, { gain: 0 });
  const levels = [];
  detector.port.onmessage = ({ data }) => levels.push(data);
  source.connect(detector).connect(quiet).connect(context.destination);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const { contextTime, performanceTime } = context.getOutputTimestamp();
  await context.close();
  // Web Audio's own buffer stands between this graph and the card, not between the page's sound and the card.
  return levels.map(([time, level]) => [performanceTime + (time - contextTime - context.baseLatency) * 1000, level]);
}
