/**
 * Elementary functions from additions, multiplications and divisions alone, so that every JavaScript engine computes the
 * same bits: `Math.sin` and its kin may differ in the last one. By power series after a reduction of the argument; within a
 * few units in the last place of a double.
 */

/** π/2 in three parts: the first two have so few bits that their products with integers below 2^20 are exact. */
const HALF_PI = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21] as const;
/** Terms that cosine and sine need up to π/4. */
const SERIES_TERMS = 9;
const { LN2 } = Math;
/** The first 32 bits of ln 2, and the rest. */
const LN2_PARTS = [0.6931471803691238, 1.9082149292705877e-10] as const;

/** (−1)^k / (2k + first)!, those of the highest powers first: what cosine (from 0 on) and sine (from 1 on) are sums of. */
const [COSINE, SINE] = [0, 1].map((first) => {
  const coefficients = [1];
  for (let n = first; coefficients.length < SERIES_TERMS; n += 2) {
    coefficients.unshift(-coefficients[0] / ((n + 1) * (n + 2)));
  }
  return coefficients;
});

/** Cosine and sine of an angle of at most 1.6 million. A table of positions takes millions of them. */
export function cosSin(angle: number): readonly [cos: number, sin: number] {
  const quarters = Math.round(angle / HALF_PI[0]);
  const rest = angle - quarters * HALF_PI[0] - quarters * HALF_PI[1] - quarters * HALF_PI[2];
  const square = rest * rest;
  let [cos, sin] = [0, 0];
  // Neither sum waits for the other.
  for (let k = 0; k < SERIES_TERMS; k++) {
    cos = cos * square + COSINE[k];
    sin = sin * square + SINE[k];
  }
  sin *= rest;
  switch (quarters & 3) {
    case 0:
      return [cos, sin];
    case 1:
      return [-sin, cos];
    case 2:
      return [-cos, -sin];
    default:
      return [sin, -cos];
  }
}

/** The natural logarithm of a number above 0. */
export function ln(x: number): number {
  let [mantissa, exponent] = [x, 0];
  for (; mantissa > Math.SQRT2; exponent++) mantissa /= 2;
  for (; mantissa < Math.SQRT1_2; exponent--) mantissa *= 2;
  const z = (mantissa - 1) / (mantissa + 1);
  let sum = 0;
  for (let n = 23; n > 0; n -= 2) sum = sum * z * z + 1 / n;
  return exponent * LN2 + 2 * z * sum;
}

/** base^exponent for a base above 0 and a result that is a normal number. */
export function power(base: number, exponent: number): number {
  const x = exponent * ln(base);
  const doublings = Math.round(x / LN2);
  const rest = x - doublings * LN2_PARTS[0] - doublings * LN2_PARTS[1];
  let result = 1;
  for (let n = 16; n > 0; n--) result = 1 + (result * rest) / n;
  for (let i = 0; i < doublings; i++) result *= 2;
  for (let i = 0; i > doublings; i--) result /= 2;
  return result;
}
