/** The tokens that may still be drawn, and what narrows them down: top-k, top-p, min-p. */

import { thresholdOf } from './select.ts';
import { weightOf, weightUnit } from './weights.ts';

/**
 * Tokens with a finite logit in the order of their ids. The arrays are as long as the vocabulary and only their first
 * `count` elements hold; every step keeps or drops, and moves what it keeps to the front.
 */
export class Candidates {
  readonly #ids: Int32Array;
  readonly #logits: Float32Array;
  readonly #weights: Float64Array;
  readonly #unit: number;
  count = 0;
  /** The sum of the weights. */
  total = 0;

  constructor(vocabSize: number) {
    this.#ids = new Int32Array(vocabSize);
    this.#logits = new Float32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
    this.#unit = weightUnit(vocabSize);
  }

  /** Takes every token of a row [vocabSize] whose logit is not -Infinity; with `topK`, only the k largest and their ties. */
  gather(row: Float32Array, topK = 0): void {
    const least = topK > 0 ? thresholdOf(row, null, topK).value : Number.NEGATIVE_INFINITY;
    let count = 0;
    for (let id = 0; id < row.length; id++) {
      if (row[id] < least || row[id] === Number.NEGATIVE_INFINITY) continue;
      this.#ids[count] = id;
      // -0 becomes 0: they are equal as logits, but not as bits.
      this.#logits[count++] = row[id] + 0;
    }
    this.count = count;
  }

  /** Weighs each token; the weight of `max` is one unit. */
  weigh(max: number, temperature: number): void {
    for (let i = 0; i < this.count; i++) {
      this.#weights[i] = weightOf((this.#logits[i] - max) / temperature, this.#unit);
    }
    this.#sum();
  }

  /**
   * Keeps the smallest set of most likely tokens whose share of the weight is at least p; among equally likely ones the
   * lower id comes first (Holtzman et al., arXiv:1904.09751).
   */
  keepTopP(p: number): void {
    const target = p * this.total;
    const { value, above } = this.#threshold(target);
    let mass = above;
    this.#keep((i) => {
      if (this.#logits[i] !== value) return this.#logits[i] > value;
      if (mass >= target) return false;
      mass += this.#weights[i];
      return true;
    });
    this.total = mass;
  }

  /** Keeps tokens at least m times as likely as the most likely one (arXiv:2407.01082). */
  keepMinP(m: number): void {
    const least = m * this.#unit;
    this.#keep((i) => this.#weights[i] >= least);
    this.#sum();
  }

  /** The token at share u of the total weight, 0 ≤ u < 1, most likely ones first, the lower id first among equals. */
  at(u: number): number {
    const target = Math.floor(u * this.total) + 1;
    const { value, above } = this.#threshold(target);
    let mass = above;
    for (let i = 0; i < this.count; i++) {
      if (this.#logits[i] !== value) continue;
      mass += this.#weights[i];
      if (mass >= target) return this.#ids[i];
    }
    throw new Error('weights do not add up to their total');
  }

  has(id: number): boolean {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#ids[middle] < id) low = middle + 1;
      else high = middle;
    }
    return low < this.count && this.#ids[low] === id;
  }

  #threshold(target: number) {
    return thresholdOf(this.#logits.subarray(0, this.count), this.#weights.subarray(0, this.count), target);
  }

  #keep(keeps: (index: number) => boolean): void {
    let count = 0;
    for (let i = 0; i < this.count; i++) {
      if (!keeps(i)) continue;
      this.#ids[count] = this.#ids[i];
      this.#logits[count] = this.#logits[i];
      this.#weights[count++] = this.#weights[i];
    }
    this.count = count;
  }

  #sum(): void {
    this.total = 0;
    for (let i = 0; i < this.count; i++) this.total += this.#weights[i];
  }
}
