// A picture that is as hard to encode as a camera's: detail at every scale that pans slowly, and a sensor's noise.
import { closeSync, openSync, writeSync } from 'node:fs';

const [WIDTH, HEIGHT, FRAMES] = [1280, 720, 60];
const SIDE = 2048;

/** Small, fast and the same everywhere (Marsaglia's xorshift32). */
function randomOf(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

function texture() {
  const random = randomOf(7);
  const sum = new Float32Array(SIDE * SIDE);
  for (let cell = 256, amplitude = 46; cell >= 2; cell /= 2, amplitude *= 0.95) {
    const cells = SIDE / cell;
    const grid = Float32Array.from({ length: cells * cells }, () => amplitude * (random() - 0.5));
    for (let y = 0; y < SIDE; y++) {
      for (let x = 0; x < SIDE; x++) sum[y * SIDE + x] += grid[((y / cell) | 0) * cells + ((x / cell) | 0)];
    }
  }
  return Uint8Array.from(sum, (value) => Math.max(16, Math.min(235, 126 + value)));
}

/** Writes two seconds of it, there and back, as Y4M. */
export function writeTexture(file) {
  const picture = texture();
  const random = randomOf(1);
  const noise = Int8Array.from({ length: 1 << 16 }, () => Math.floor(random() * 16) - 8);
  const out = openSync(file, 'w');
  writeSync(out, `YUV4MPEG2 W${WIDTH} H${HEIGHT} F30:1 Ip A1:1 C420jpeg\n`);
  const frame = Buffer.alloc((WIDTH * HEIGHT * 3) / 2, 128);
  for (let n = 0; n < FRAMES; n++) {
    // There and back again, so that the loop has no jump.
    const shift = 3 * Math.min(n, FRAMES - n);
    const offset = Math.floor(random() * 65536);
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const at = y * WIDTH + x;
        frame[at] = picture[(y + (shift >> 1)) * SIDE + x + shift] + noise[(at + offset) & 0xffff];
      }
    }
    writeSync(out, 'FRAME\n');
    writeSync(out, frame);
  }
  closeSync(out);
}
