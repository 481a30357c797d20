// The time stamp in the picture: a row of 40 blocks, 32 bits of wall clock in ms and the 8-bit sum of their bytes.

export const BLOCKS = 40;

/** Side of a block in pixels in a picture of this width. */
export function blockSide(width) {
  return Math.max(8, Math.floor(width / BLOCKS / 2) * 2);
}

/** The stamp (low 32 bits of the wall clock in ms) from the mean luma of each block, or null where the sum does not fit. */
export function readStamp(lumas) {
  const bytes = [0, 0, 0, 0, 0];
  lumas.forEach((luma, block) => {
    bytes[block >> 3] = (bytes[block >> 3] << 1) | (luma > 126 ? 1 : 0);
  });
  const sum = (bytes[0] + bytes[1] + bytes[2] + bytes[3]) & 0xff;
  // All black has a sum that fits, and is no stamp.
  if (lumas.length !== BLOCKS || sum !== bytes[4] || bytes.every((byte) => byte === 0)) return null;
  return ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
}

/** Milliseconds from the stamp to the wall-clock time `now`; less than zero when the stamp lies ahead. */
export function ageMs(now, stamp) {
  return ((now % 2 ** 32) - stamp) | 0;
}
