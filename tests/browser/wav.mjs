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
 * than `gapMs`. The frequency is that of most cycles: one that a gap has cut short counts for nothing.
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
  let [rise, quiet, stretch, stretchMs] = [NaN, Infinity, 0, 0];
  const cycles = [];
  for (let block = 0; block < blocks; block += 1) {
    quiet = loud[block] ? 0 : quiet + 5;
    stretch = quiet > gapMs ? 0 : stretch + 5;
    stretchMs = Math.max(stretchMs, stretch);
    if (!loud[block] || !loud[block + 1]) {
      rise = NaN;
      continue;
    }
    for (let n = block * BLOCK; n < (block + 1) * BLOCK; n += 1) {
      if (at(n) >= 0 || at(n + 1) < 0) continue;
      const next = n + at(n) / (at(n) - at(n + 1));
      if (rise) cycles.push(next - rise);
      rise = next;
    }
  }
  return { loudMs: loud.filter(Boolean).length * 5, stretchMs, hertz: RATE / middle(cycles) };
}

/** The mean of the middle four fifths. */
function middle(numbers) {
  const tenth = Math.floor(numbers.length / 10);
  const kept = numbers.sort((a, b) => a - b).slice(tenth, numbers.length - tenth);
  return kept.reduce((sum, number) => sum + number, 0) / kept.length;
}
