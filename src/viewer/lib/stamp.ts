/**
 * The time stamp in the picture of a test pattern: a row of 40 equal blocks, black 0, white 1, most significant bit
 * first: the low 32 bits of the wall clock in milliseconds at which the picture was made, then the sum of those four
 * bytes. With the two clocks in step it gives the whole latency, from pattern to screen.
 */

/** Blocks in the row: 32 of time, 8 of sum. */
const BLOCKS = 40;
/** Narrower pictures have no stamp. */
const MIN_SIDE = 8;
const THRESHOLD = 126;

/** Side of a block in pixels: a fortieth of the width, rounded down to even; `undefined` for pictures without room. */
export function blockSide(width: number, height: number): number | undefined {
  const side = Math.floor(width / BLOCKS / 2) * 2;
  return side >= MIN_SIDE && side <= height ? side : undefined;
}

/**
 * Reads the stamp from the RGBA pixels of the top-left `40 * side` by `side` of a picture; `undefined` where its sum
 * does not fit. 0 counts as none: a black picture would be it.
 */
export function readStamp(rgba: ArrayLike<number>, side: number): number | undefined {
  const bits = Array.from({ length: BLOCKS }, (_, block) => (meanOfCentre(rgba, block * side, side) > THRESHOLD ? 1 : 0));
  const byte = (index: number): number => bits.slice(index * 8, index * 8 + 8).reduce<number>((sum, bit) => sum * 2 + bit, 0);
  const bytes = [byte(0), byte(1), byte(2), byte(3)];
  const stamp = bytes.reduce((sum, each) => sum * 256 + each, 0);
  const sum = bytes.reduce((sum, each) => sum + each, 0) % 256;
  return stamp !== 0 && sum === byte(4) ? stamp : undefined;
}

/** Milliseconds from `stamp` to `nowMs`, both taken modulo 2^32; negative when the stamp lies ahead. */
export function ageMs(nowMs: number, stamp: number): number {
  return (Math.floor(nowMs) - stamp) | 0;
}

/** The mean green of the block's inner half, which an encoder's ringing at the edges does not reach. */
function meanOfCentre(rgba: ArrayLike<number>, left: number, side: number): number {
  const from = Math.floor(side / 4);
  const length = Math.floor(side / 2);
  let sum = 0;
  for (let y = from; y < from + length; y += 1) {
    for (let x = left + from; x < left + from + length; x += 1) sum += rgba[(y * BLOCKS * side + x) * 4 + 1] ?? 0;
  }
  return sum / (length * length);
}
