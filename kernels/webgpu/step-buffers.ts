/** What changes from step to step, in one GPU buffer of words; its layout is told in `shaders/step.wgsl`. */

import type { StepInput, StepLimits } from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import type { Gpu, GpuMemory } from './gpu.ts';

const HEADER_WORDS = 9;
/** Positions that attention takes together; see `shaders/attention-group.wgsl`. */
export const SPLIT = 256;

/** What the number of workgroups depends on. */
export interface StepCounts {
  readonly rows: number;
  readonly logitRows: number;
  /** Attention splits of the longest context. */
  readonly splits: number;
}

/** Room for the splits of `rows` rows, whatever the length of their contexts. */
export interface AttentionPartials {
  readonly buffer: GPUBuffer;
  readonly rows: number;
}

export class StepBuffers {
  readonly limits: StepLimits;
  readonly buffer: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #memory: GpuMemory;
  readonly #maxSplits: number;
  readonly #partials = new Map<string, AttentionPartials>();
  readonly #words: Uint32Array<ArrayBuffer>;

  constructor(gpu: Gpu, memory: GpuMemory, limits: StepLimits) {
    this.limits = limits;
    this.#gpu = gpu;
    this.#memory = memory;
    this.#maxSplits = Math.ceil((limits.maxBlocksPerSlot * KV_BLOCK_SIZE) / SPLIT);
    const { maxRows, maxLogitRows, maxSlots, maxBlocksPerSlot } = limits;
    this.#words = new Uint32Array(HEADER_WORDS + 4 * maxRows + maxLogitRows + maxSlots * maxBlocksPerSlot);
    this.buffer = memory.allocate(this.#words.byteLength, 'step buffer');
  }

  /** Room for split attention of that shape: for `maxRows` rows, or as many as `bytes` hold, but one at least. */
  partials(heads: number, headDim: number, bytes: number, maxRows: number): AttentionPartials {
    const key = `${heads} ${headDim}`;
    let partials = this.#partials.get(key);
    if (!partials) {
      const perRow = 4 * heads * this.#maxSplits * (headDim + 2);
      const rows = Math.min(maxRows, Math.max(1, Math.floor(bytes / perRow)));
      partials = { buffer: this.#memory.allocate(rows * perRow, 'attention partials'), rows };
      this.#partials.set(key, partials);
    }
    return partials;
  }

  /** Queues the upload of a step, back to back, so that a short one takes few bytes. */
  write(step: StepInput): StepCounts {
    const rows = step.tokens.length;
    const words = this.#words;
    let end = HEADER_WORDS;
    const put = (values: ArrayLike<number>): number => {
      const at = end;
      words.set(values, at);
      end += values.length;
      return at;
    };
    let last = 0;
    for (let r = 0; r < rows; r++) last = Math.max(last, step.positions[r]);
    const splits = Math.floor(last / SPLIT) + 1;
    let longest = 0;
    for (const { length } of step.blockTables) longest = Math.max(longest, length);

    put(step.tokens);
    const positions = put(step.positions);
    const ropeRows = step.ropeRows ? put(step.ropeRows) : positions;
    const slots = put(step.slots);
    const logitRows = put(step.logitRows);
    const tables = end;
    for (const [slot, table] of step.blockTables.entries()) words.set(table, tables + slot * longest);
    end += step.blockTables.length * longest;
    words.set([rows, step.logitRows.length, positions, slots, logitRows, tables, longest, splits, ropeRows]);
    this.#gpu.device.queue.writeBuffer(this.buffer, 0, words, 0, end);
    return { rows, logitRows: step.logitRows.length, splits };
  }
}
