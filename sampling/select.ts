/** Finding how far down the most likely tokens reach, without sorting: a radix descent over the order of the floats. */

const LEVELS = [
  { shift: 21, width: 11 },
  { shift: 10, width: 11 },
  { shift: 0, width: 10 },
] as const;

const histogram = new Float64Array(2 ** 11);
const keyWord = new Int32Array(1);
const keyFloat = new Float32Array(keyWord.buffer);
/** Indices of the values that a level looks at. */
let inBucket = new Int32Array(0);

export interface Threshold {
  /** The largest value t for which the weights of all values ≥ t add up to the target. */
  readonly value: number;
  /** The weight of the values above t, which is below the target. */
  readonly above: number;
}

/**
 * Walks down from the largest value until `target` is reached; to the smallest value with any weight if it never is.
 * Linear in the number of values, whatever the target.
 *
 * @param values without NaN; -0 counts as smaller than 0
 * @param weights one for each value, not negative and not all 0; null: 1 each
 */
export function thresholdOf(values: Float32Array, weights: Float64Array | null, target: number): Threshold {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length);
  if (inBucket.length < words.length) inBucket = new Int32Array(words.length);
  let prefix = 0;
  let above = 0;
  let count = words.length;
  for (const [level, { shift, width }] of LEVELS.entries()) {
    const last = 2 ** width - 1;
    histogram.fill(0, 0, last + 1);
    for (let j = 0; j < count; j++) {
      const i = level === 0 ? j : inBucket[j];
      histogram[(orderedKey(words[i]) >>> shift) & last] += weights === null ? 1 : weights[i];
    }
    let bucket = 0;
    let reached = above;
    for (let b = last; b >= 0 && reached < target; b--) {
      if (histogram[b] === 0) continue;
      bucket = b;
      above = reached;
      reached += histogram[b];
    }
    prefix = ((prefix << width) | bucket) >>> 0;
    // Only the values of the bucket go on to the next level.
    let kept = 0;
    for (let j = 0; j < count; j++) {
      const i = level === 0 ? j : inBucket[j];
      if (((orderedKey(words[i]) >>> shift) & last) === bucket) inBucket[kept++] = i;
    }
    count = kept;
  }
  keyWord[0] = prefix >>> 31 ? prefix ^ 0x8000_0000 : ~prefix;
  return { value: keyFloat[0], above };
}

/** Up to so many largest values are kept in order as they come: most values are then looked at once. */
const FEW = 64;

/** Indices of the `count` largest values, largest first, the lower index first among equals. */
export function largest(values: Float32Array, count: number): number[] {
  if (count <= 0) return [];
  if (count <= FEW) return fewLargest(values, count);
  const threshold = thresholdOf(values, null, count).value;
  const above: number[] = [];
  const equal: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < threshold) continue;
    if (values[i] > threshold) above.push(i);
    else if (equal.length < count) equal.push(i);
  }
  above.sort((a, b) => values[b] - values[a] || a - b);
  return [...above, ...equal].slice(0, count);
}

function fewLargest(values: Float32Array, count: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (found.length === count) {
      if (value <= values[found[count - 1]]) continue;
      found.pop();
    }
    let at = found.length;
    while (at > 0 && values[found[at - 1]] < value) at--;
    found.splice(at, 0, i);
  }
  return found;
}

/** Index of the largest value, the lowest among equals; -1 when all are -Infinity or any is NaN. */
export function argmax(values: Float32Array): number {
  let best = Number.NEGATIVE_INFINITY;
  let index = -1;
  for (let i = 0; i < values.length; i++) {
    // Written so that a NaN is caught by the one comparison that every value needs.
    if (values[i] <= best) continue;
    if (Number.isNaN(values[i])) return -1;
    best = values[i];
    index = i;
  }
  return index;
}

/** Maps the bits of a float to an unsigned number that orders as the floats do. */
function orderedKey(word: number): number {
  return (word ^ ((word >> 31) | 0x8000_0000)) >>> 0;
}
