/** What changes from step to step, in one GPU buffer of words; its layout is told in `shaders/step.wgsl`. */

import type { StepInput, StepLimits } from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import type { Gpu, GpuMemory } from './gpu.ts';

const HEADER_WORDS = 16;
/** Positions that attention takes together; see `shaders/attention-group.wgsl`. */
export const SPLIT = 256;
/** Rows that follow one another in a sequence are attended to in runs: of so many at least, so many at most. */
const [MIN_RUN, MAX_RUN] = [8, 32];

/** What the number of workgroups depends on. */
export interface StepCounts {
  readonly rows: number;
  readonly logitRows: number;
  /** Rows of logits where one of them is to be reduced, else 0. */
  readonly reducedRows: number;
  /** Attention splits of the longest context. */
  readonly splits: number;
  /** Runs of rows, rows that are in none, and splits of the longest context of the latter. */
  readonly runs: number;
  readonly loneRows: number;
  readonly loneSplits: number;
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
    this.#words = new Uint32Array(
      HEADER_WORDS + 5 * maxRows + 2 * Math.ceil(maxRows / MIN_RUN) + maxLogitRows + maxSlots * maxBlocksPerSlot,
    );
    this.buffer = memory.allocate(this.#words.byteLength, 'step buffer');
  }

  /** Room for split attention of that shape: for `maxRows` rows, or as many as `bytes` hold, but one at least. */
  partials(heads: number, headDim: number, bytes: number, maxRows: number): AttentionPartials {
    const key = `${heads} ${headDim}`;
    let partials = this.#partials.get(key);
    if (!partials) {
      const perRow = 4 * heads * this.#maxSplits * (headDim + 4);
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
    const { runs, lone } = runsOf(step);
    const [loneAt, runsAt] = [put(lone), put(runs.flat())];
    const splits = splitsOf(step.positions);
    const loneSplits = splitsOf(lone.map((row) => step.positions[row]));
    words.set([rows, step.logitRows.length, positions, slots, logitRows, tables, longest, splits]);
    words.set([lone.length, loneAt, loneSplits, runs.length, runsAt, ropeRows], 8);
    this.#gpu.device.queue.writeBuffer(this.buffer, 0, words, 0, end);
    return {
      rows,
      logitRows: step.logitRows.length,
      reducedRows: step.reductions?.some(Boolean) ? step.logitRows.length : 0,
      splits,
      runs: runs.length,
      loneRows: lone.length,
      loneSplits,
    };
  }
}

function splitsOf(positions: ArrayLike<number>): number {
  let last = -1;
  for (let i = 0; i < positions.length; i++) last = Math.max(last, positions[i]);
  return Math.floor(last / SPLIT) + 1;
}

/** Runs of rows of one sequence at positions one after the other, first row and number of rows each; the rows in none. */
function runsOf({ positions, slots }: StepInput): { runs: [first: number, rows: number][]; lone: number[] } {
  const runs: [number, number][] = [];
  const lone: number[] = [];
  for (let first = 0, end = 1; first < positions.length; first = end++) {
    while (end < positions.length && slots[end] === slots[first] && positions[end] === positions[end - 1] + 1) end++;
    if (end - first < MIN_RUN) for (let row = first; row < end; row++) lone.push(row);
    else for (let row = first; row < end; row += MAX_RUN) runs.push([row, Math.min(MAX_RUN, end - row)]);
  }
  return { runs, lone };
}
