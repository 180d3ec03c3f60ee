/** Seeded random numbers for tests: the same seed gives the same data on every machine. */

export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Uniform in [0, 1). Source: Steele and Vigna, mulberry32 constants. */
  uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  }

  /** Uniform integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low + 1));
  }

  /** `length` floats, roughly normal with the given deviation. */
  floats(length: number, deviation = 1): Float32Array {
    return Float32Array.from({ length }, () => {
      const sum = this.uniform() + this.uniform() + this.uniform() + this.uniform() - 2;
      return sum * Math.sqrt(3) * deviation;
    });
  }
}
