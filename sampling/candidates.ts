/** The tokens that may still be drawn, and what narrows them down: top-k, top-p, min-p. */

import { exp } from './exponential.ts';
import { thresholdOf } from './select.ts';

/**
 * Tokens with a finite logit in the order of their ids. The arrays are as long as the vocabulary and only their first
 * `count` elements hold; every step keeps or drops, and moves what it keeps to the front.
 */
export class Candidates {
  readonly #ids: Int32Array;
  readonly #logits: Float32Array;
  readonly #weights: Float64Array;
  count = 0;
  /** The sum of the weights, in the order of the ids. */
  total = 0;

  constructor(vocabSize: number) {
    this.#ids = new Int32Array(vocabSize);
    this.#logits = new Float32Array(vocabSize);
    this.#weights = new Float64Array(vocabSize);
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

  /** Weighs each token with exp((logit - max) / temperature): its probability but for the common factor `total`. */
  weigh(max: number, temperature: number): void {
    for (let i = 0; i < this.count; i++) this.#weights[i] = exp((this.#logits[i] - max) / temperature);
    this.#sum();
  }

  /**
   * Keeps the smallest set of most likely tokens whose share of the weight is at least p; among equally likely ones the
   * lower id comes first (Holtzman et al., arXiv:1904.09751).
   */
  keepTopP(p: number): void {
    const target = p * this.total;
    const weights = this.#weights.subarray(0, this.count);
    const { value, above } = thresholdOf(this.#logits.subarray(0, this.count), weights, target);
    let mass = above;
    this.#keep((i) => {
      if (this.#logits[i] !== value) return this.#logits[i] > value;
      if (mass >= target) return false;
      mass += this.#weights[i];
      return true;
    });
    this.#sum();
  }

  /** Keeps tokens at least m times as likely as the most likely one, whose weight is 1 (arXiv:2407.01082). */
  keepMinP(m: number): void {
    this.#keep((i) => this.#weights[i] >= m);
    this.#sum();
  }

  /** The token at share u of the total weight, 0 ≤ u < 1. */
  at(u: number): number {
    const target = u * this.total;
    let mass = 0;
    let last = 0;
    for (let i = 0; i < this.count; i++) {
      if (this.#weights[i] === 0) continue;
      last = i;
      mass += this.#weights[i];
      if (mass > target) break;
    }
    return this.#ids[last];
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
