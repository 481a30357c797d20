// Tones in WAV files of 48 kHz, mono, 16 bit: what a fake microphone plays, and what a speaker's file holds.
import { readFileSync, writeFileSync } from 'node:fs';

const RATE = 48_000;
const HEADER = 44;
/** Samples that are loud or not together: 5 ms. */
const BLOCK = 240;

/** Writes `seconds` of a tone. */
export function writeTone(file, hertz, seconds = 1) {
  const samples = RATE * seconds;
  const bytes = Buffer.alloc(HEADER + 2 * samples);
  bytes.write('RIFF', 0);
  bytes.writeUInt32LE(bytes.length - 8, 4);
  bytes.write('WAVEfmt ', 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt32LE(RATE, 24);
  bytes.writeUInt32LE(2 * RATE, 28);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.write('data', 36);
  bytes.writeUInt32LE(2 * samples, 40);
  for (let n = 0; n < samples; n += 1) {
    bytes.writeInt16LE(Math.round(9_000 * Math.sin((2 * Math.PI * hertz * n) / RATE)), HEADER + 2 * n);
  }
  writeFileSync(file, bytes);
}

/**
 * What is loud in a file, and of which frequency: `loudMs` of sound in all, `stretchMs` the longest without a gap of more
 * than `gapMs`.
 */
export function heardIn(file, gapMs = 60) {
  const bytes = readFileSync(file);
  const blocks = Math.floor((bytes.length - HEADER) / (2 * BLOCK));
  const at = (n) => bytes.readInt16LE(HEADER + 2 * n);
  const loud = Array.from({ length: blocks }, (_, block) => {
    let power = 0;
    for (let n = 0; n < BLOCK; n += 1) power += at(block * BLOCK + n) ** 2;
    return power / BLOCK > 500 ** 2;
  });
  let [crossings, counted, quiet, stretch, stretchMs] = [0, 0, Infinity, 0, 0];
  for (let block = 0; block < blocks; block += 1) {
    quiet = loud[block] ? 0 : quiet + 5;
    stretch = quiet > gapMs ? 0 : stretch + 5;
    stretchMs = Math.max(stretchMs, stretch);
    if (!loud[block] || !loud[block + 1]) continue;
    for (let n = block * BLOCK; n < (block + 1) * BLOCK; n += 1) crossings += at(n) < 0 && at(n + 1) >= 0 ? 1 : 0;
    counted += BLOCK;
  }
  return { loudMs: loud.filter(Boolean).length * 5, stretchMs, hertz: (crossings * RATE) / Math.max(1, counted) };
}
