/**
 * Where the `reduceLogits` op finds what is asked of each row of logits, and leaves what it found.
 *
 * A request: top (0: nothing is asked), scale (0: no sum), number of picks, a word of padding, the mask `[words]`, the picks. A
 * result: the words of {@link RESULT}, then ids and logits of what was listed, then the logits of the picks.
 */

import type { LogitReduction, ReducedLogits, Reduction, StepInput } from '../contract.ts';
import { MAX_REDUCTION_PICKS, MAX_REDUCTION_TOP } from '../contract.ts';
import { sortedReduction } from '../sorted-reduction.ts';
import type { WasmTensor } from './buffers.ts';
import type { Heap } from './heap.ts';

/** Byte offsets in a request. */
export const REQUEST = { top: 0, scale: 4, picks: 8, mask: 16 } as const;

/** Most logits that are listed. The threshold lets some more through than were asked for. */
export const RESULT_CAPACITY = 4 * MAX_REDUCTION_TOP;

/** Byte offsets in a result. */
export const RESULT = {
  isFinite: 0,
  isComplete: 4,
  count: 8,
  max: 12,
  threshold: 16,
  sumExp: 24,
  ids: 32,
  logits: 32 + 4 * RESULT_CAPACITY,
  picked: 32 + 8 * RESULT_CAPACITY,
} as const;

/**
 * The error of the sum. A logit's distance from the largest, x, is rounded three times, which makes its term wrong by a
 * share of 3|x|·2^-24: at most 4.4e-6 where |x| ≤ 24.3; all terms beyond that together are less than 4.6e-6 of the
 * largest, for 151,936 of them, and their error is a small part of that. The power of two adds 2e-7, the sum of eight
 * floats 4.2e-7.
 */
const SUM_ERROR = 6e-6;

export class WasmReduction implements Reduction {
  readonly logits: WasmTensor;
  /** Words of a mask. */
  readonly words: number;
  readonly requestStride: number;
  readonly resultStride: number;
  /** In the memory where the op was recorded last. */
  #place: { readonly heap: Heap; readonly requests: number; readonly results: number } | undefined;
  #asked: readonly (LogitReduction | null)[] = [];

  constructor(logits: WasmTensor) {
    this.logits = logits;
    this.words = Math.ceil(logits.cols / 32);
    this.requestStride = REQUEST.mask + 4 * (this.words + MAX_REDUCTION_PICKS);
    this.resultStride = RESULT.picked + 4 * MAX_REDUCTION_PICKS;
  }

  /** Where requests and results lie in the memory that is recorded for. */
  settle(heap: Heap) {
    if (this.#place?.heap !== heap) {
      const allocate = (stride: number) => heap.allocate(this.logits.maxRows * stride, 'logit reductions');
      this.#place = { heap, requests: allocate(this.requestStride), results: allocate(this.resultStride) };
    }
    return this.#place;
  }

  /** Writes what a step asks. */
  write({ logitRows, reductions }: StepInput): void {
    const place = this.#place;
    if (!place) return;
    const { heap, requests } = place;
    this.#asked = reductions ?? new Array(logitRows.length).fill(null);
    for (const [row, asked] of this.#asked.entries()) {
      const address = requests + row * this.requestStride;
      const [top, scale, picks] = [asked?.top ?? 0, asked?.scale ?? 0, asked?.picks ?? []];
      heap.words(address, 3).set([top, 0, picks.length]);
      heap.floats(address + REQUEST.scale, 1)[0] = scale;
      if (!asked) continue;
      const mask = heap.words(address + REQUEST.mask, this.words);
      mask.fill(asked.mask ? 0 : -1);
      if (asked.mask) mask.set(asked.mask.subarray(0, this.words));
      heap.words(address + REQUEST.mask + 4 * this.words, picks.length).set(picks);
    }
  }

  /** What the last step's rows came to. */
  read(): (ReducedLogits | null)[] {
    const place = this.#place;
    if (!place) return [];
    const { heap, results } = place;
    return this.#asked.map((asked, row) => asked && resultAt(heap, results + row * this.resultStride, asked));
  }
}

function resultAt(heap: Heap, address: number, { top, scale, picks = [] }: LogitReduction): ReducedLogits {
  const [finite, complete, count] = heap.words(address, 3);
  const listed = count <= RESULT_CAPACITY ? count : 0;
  const ids = heap.words(address + RESULT.ids, listed);
  const logits = heap.floats(address + RESULT.logits, listed);
  const sorted = sortedReduction(ids, logits, top);
  return {
    isFinite: finite === 1,
    ...sorted,
    isComplete: complete === 1 && sorted.ids.length === count,
    sumExp: scale && count > 0 ? new Float64Array(heap.memory.buffer, address + RESULT.sumExp, 1)[0] : 0,
    sumError: SUM_ERROR,
    picked: heap.floats(address + RESULT.picked, picks.length).slice(),
  };
}
