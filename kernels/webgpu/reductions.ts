/** Where `reduceLogits` finds what is asked of each row of logits, and leaves what it found; see `shaders/logit-row.wgsl`. */

import type { LogitReduction, ReducedLogits, Reduction, StepInput } from '../contract.ts';
import { MAX_REDUCTION_PICKS, MAX_REDUCTION_TOP } from '../contract.ts';
import { sortedReduction } from '../sorted-reduction.ts';
import type { WebGpuTensor } from './buffers.ts';
import type { GpuMemory } from './gpu.ts';
import type { BufferPart } from './readback.ts';

/** Words of a mask that a workgroup takes. */
const WORKGROUP_WORDS = 256;
/** Words before the mask of a request, and before the sums of a result. */
const [REQUEST_HEADER, FOUND_HEADER] = [4, 8];
/** A vocabulary so small has fewer words than logits may be asked for: then there is room for all of it. */
const SMALL_VOCABULARY = 32 * MAX_REDUCTION_TOP;

/**
 * The error of the sum. A logit's distance x from the largest is rounded twice, and exp may be off by 3 + 2|x| units in the
 * last place (WGSL): a share of 9e-6 where |x| ≤ 24.3. All terms beyond that together are less than 4.6e-6 of the largest,
 * for 151,936 of them. Adding up 32 terms in order and 256 as a tree loses 2.4e-6.
 */
const SUM_ERROR = 2e-5;

export class WebGpuReduction implements Reduction {
  readonly logits: WebGpuTensor;
  /** Words of a mask. */
  readonly words: number;
  /** Most logits that are listed. The threshold lets some more through than were asked for. */
  readonly capacity: number;
  /** Workgroups of a row, each with a sum of its own. */
  readonly sums: number;
  readonly requestStride: number;
  readonly foundStride: number;
  readonly requests: GPUBuffer;
  readonly maxima: GPUBuffer;
  readonly found: GPUBuffer;
  #asked: readonly (LogitReduction | null)[] = [];

  constructor(memory: GpuMemory, logits: WebGpuTensor) {
    this.logits = logits;
    this.words = Math.ceil(logits.cols / 32);
    this.capacity = logits.cols <= SMALL_VOCABULARY ? logits.cols : 4 * MAX_REDUCTION_TOP;
    this.sums = Math.ceil(this.words / WORKGROUP_WORDS);
    this.requestStride = REQUEST_HEADER + this.words + MAX_REDUCTION_PICKS;
    this.foundStride = FOUND_HEADER + this.sums + 2 * this.capacity + MAX_REDUCTION_PICKS;
    const allocate = (stride: number, purpose: string) => memory.allocate(4 * stride * logits.maxRows, purpose);
    this.requests = allocate(this.requestStride, 'logit reductions asked');
    this.maxima = allocate(this.words, 'maxima of logits');
    this.found = allocate(this.foundStride, 'logit reductions found');
  }

  /** Queues the upload of what a step asks. */
  write(queue: GPUQueue, { logitRows, reductions }: StepInput): void {
    this.#asked = reductions ?? new Array(logitRows.length).fill(null);
    // Nothing runs that would read it.
    if (!this.#asked.some(Boolean)) return;
    const clean = new Uint32Array(FOUND_HEADER);
    for (const [row, asked] of this.#asked.entries()) {
      const { top = 0, mask, scale = 0, picks = [] } = asked ?? {};
      const at = 4 * row * this.requestStride;
      const request = new Uint32Array(REQUEST_HEADER + (mask ? this.words : 0));
      request.set([top, 0, picks.length, mask ? 1 : 0]);
      new Float32Array(request.buffer)[1] = scale;
      if (mask) request.set(mask.subarray(0, this.words), REQUEST_HEADER);
      queue.writeBuffer(this.requests, at, request);
      const first = at + 4 * (REQUEST_HEADER + this.words);
      if (picks.length > 0) queue.writeBuffer(this.requests, first, Uint32Array.from(picks));
      if (asked) queue.writeBuffer(this.found, 4 * row * this.foundStride, clean);
    }
  }

  /** What is to be read back of the last step's rows. */
  parts(): BufferPart[] {
    const listed = FOUND_HEADER + this.sums + 2 * this.capacity;
    return this.#asked.flatMap((asked, row) => {
      if (!asked) return [];
      const offset = 4 * row * this.foundStride;
      return [{ buffer: this.found, offset, bytes: 4 * (listed + (asked.picks?.length ?? 0)) }];
    });
  }

  /** What the last step's rows came to, by the words of {@link parts}, one after the other. */
  results(words: Uint32Array): (ReducedLogits | null)[] {
    let at = 0;
    return this.#asked.map((asked) => {
      if (!asked) return null;
      const end = at + FOUND_HEADER + this.sums + 2 * this.capacity + (asked.picks?.length ?? 0);
      const found = words.slice(at, end);
      at = end;
      return this.#result(found, asked);
    });
  }

  #result(words: Uint32Array, { top, scale }: LogitReduction): ReducedLogits {
    const floats = new Float32Array(words.buffer);
    const [seen, , , count, complete] = words;
    const listed = count <= this.capacity ? count : 0;
    const first = FOUND_HEADER + this.sums;
    const idOf = (i: number) => words[first + 2 * i];
    const logitOf = (i: number) => floats[first + 2 * i + 1];
    const ids = Int32Array.from({ length: listed }, (_, i) => idOf(i));
    const sorted = sortedReduction(
      ids,
      Float32Array.from(ids, (_, i) => logitOf(i)),
      top,
    );
    const sums = floats.subarray(FOUND_HEADER, first);
    return {
      isFinite: seen === 2,
      ...sorted,
      isComplete: complete === 1 && sorted.ids.length === count,
      sumExp: scale ? sums.reduce((total, sum) => total + sum, 0) : 0,
      sumError: SUM_ERROR,
      picked: floats.slice(first + 2 * this.capacity),
    };
  }
}
