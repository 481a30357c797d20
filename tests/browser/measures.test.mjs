// The tests' own instruments, on pictures and spectra that are known.
import assert from 'node:assert/strict';
import test from 'node:test';

import { BLOCKS, ageMs, blockSide, readStamp } from './stamp.mjs';
import { lipSyncMs, loudestHertz, median, onsets, prominenceDb } from './sound.mjs';

function lumasOf(stamp, black = 16, white = 235) {
  const bytes = [24, 16, 8, 0].map((shift) => (stamp >>> shift) & 0xff);
  bytes.push(bytes.reduce((a, b) => a + b) & 0xff);
  return Array.from({ length: BLOCKS }, (_, i) => ((bytes[i >> 3] >> (7 - (i & 7))) & 1 ? white : black));
}

test('a stamp is read back, also from a washed-out picture', () => {
  for (const stamp of [1, 0x80000000, 0xffffffff, 0x12345678]) {
    assert.equal(readStamp(lumasOf(stamp)), stamp);
    assert.equal(readStamp(lumasOf(stamp, 60, 180)), stamp);
  }
});

test('a picture without a stamp has none', () => {
  assert.equal(readStamp(new Array(40).fill(16)), null);
  assert.equal(readStamp(new Array(40).fill(235)), null);
  assert.equal(readStamp([]), null);
  const flipped = lumasOf(0x12345678);
  flipped[13] = 251 - flipped[13];
  assert.equal(readStamp(flipped), null);
});

test('an age survives the wrap of the 32-bit clock', () => {
  assert.equal(ageMs(2 ** 40 + 5, 0xfffffffb), 10);
  assert.equal(ageMs(2 ** 40 - 5, 5), -10);
});

test('a block is an even fortieth of the width', () => {
  assert.deepEqual([320, 640, 854, 1280, 1920].map(blockSide), [8, 16, 20, 32, 48]);
});

test('a tone stands out of noise at its own frequency only', () => {
  const spectrum = Float32Array.from({ length: 4096 }, (_, i) => -90 + (i % 7));
  spectrum[Math.round(440 / 5.86)] = -30;
  assert.ok(prominenceDb(spectrum, 5.86, 440) > 50);
  assert.ok(prominenceDb(spectrum, 5.86, 1000) < 10);
  assert.ok(Math.abs(loudestHertz(spectrum, 5.86) - 440) < 6);
});

test('flashes are matched with the beep next to them', () => {
  assert.deepEqual(lipSyncMs([1000, 2000, 3000], [1010, 1990, 3900]), [10, -10]);
  assert.equal(median(lipSyncMs([1000, 2000, 3000], [990, 2020, 3010])), 10);
});

test('an onset is a rise, not a level', () => {
  const samples = [[0, 10], [1, 11], [2, 200], [3, 199], [4, 10], [5, 180]];
  assert.deepEqual(onsets(samples, 50), [2, 5]);
  assert.deepEqual(onsets([[0, 10], [1, 12]], 50), []);
});
