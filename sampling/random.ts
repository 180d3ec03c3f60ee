/**
 * The random numbers of a choice, by position instead of by state: a draw depends on the key and the position alone, so a
 * sequence that is recomputed, or sits in another batch, draws the same. Philox4x32-10, which is integers throughout, so
 * every machine agrees.
 * Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
 */

/** The key of choice `choiceIndex`: that of a request of its own with seed + choiceIndex. Unsigned 64 bits. */
export function choiceKey(seed: bigint, choiceIndex: number): bigint {
  return BigInt.asUintN(64, seed + BigInt(choiceIndex));
}

/** A number in [0, 1) with 53 random bits, for output position `position` (0 ≤ position < 2^53). */
export function uniform(key: bigint, position: number): number {
  const counter = Uint32Array.of(position % 2 ** 32, position / 2 ** 32, 0, 0);
  philox4x32(counter, Number(key & 0xffff_ffffn), Number(key >> 32n));
  return ((counter[0] >>> 5) * 2 ** 26 + (counter[1] >>> 6)) / 2 ** 53;
}

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;

/** Turns the counter [4] into four random words, in place. */
export function philox4x32(counter: Uint32Array, key0: number, key1: number): void {
  for (let round = 0; round < ROUNDS; round++) {
    const [c0, c1, c2, c3] = counter;
    counter[0] = multiplyHigh(MULTIPLIER_1, c2) ^ c1 ^ key0;
    counter[1] = Math.imul(MULTIPLIER_1, c2);
    counter[2] = multiplyHigh(MULTIPLIER_0, c0) ^ c3 ^ key1;
    counter[3] = Math.imul(MULTIPLIER_0, c0);
    key0 = (key0 + KEY_STEP_0) | 0;
    key1 = (key1 + KEY_STEP_1) | 0;
  }
}

/** The upper 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  // Every term is below 2^53, so the sum in doubles is exact.
  const middle = aHigh * bLow + Math.floor((aLow * bLow) / 65_536);
  const carried = aLow * bHigh + (middle % 65_536);
  return aHigh * bHigh + Math.floor(middle / 65_536) + Math.floor(carried / 65_536);
}
