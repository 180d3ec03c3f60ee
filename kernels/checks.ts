/** Shape and range checks that every device makes, so that a wrong plan or step fails at once and in the same words. */

import type { Constant, KvCache, OpRecorder, StepInput, StepLimits, Tensor } from './contract.ts';
import { KV_BLOCK_SIZE, MAX_REDUCTION_PICKS, MAX_REDUCTION_TOP } from './contract.ts';
import { DeviceError } from './errors.ts';

/** Wraps a recorder so that each op's shapes are checked before the device sees it. */
export function checkedRecorder(record: OpRecorder): OpRecorder {
  return {
    embed(op) {
      sameCols('embed', op.out, op.table.cols);
      domain('embed', op.out, 'tokens');
      record.embed(op);
    },
    norm(op) {
      sameCols('norm', op.out, op.x.cols);
      domain('norm', op.out, op.x.domain);
      length('norm weight', op.weight, op.x.cols);
      if (op.add) {
        sameCols('norm add', op.add, op.x.cols);
        domain('norm add', op.add, op.x.domain);
      }
      record.norm(op);
    },
    linear(op) {
      if (op.weights.length === 0) throw new DeviceError('linear: expected at least one weight');
      for (const weight of op.weights) {
        if (weight.cols !== op.x.cols) {
          throw new DeviceError(`linear ${weight.name}: weight has ${weight.cols} columns, x has ${op.x.cols}`);
        }
      }
      const rows = op.weights.reduce((sum, weight) => sum + weight.rows, 0);
      sameCols(`linear ${op.weights[0].name}`, op.out, rows);
      domain('linear', op.out, op.x.domain);
      if (op.bias) length('linear bias', op.bias, rows);
      record.linear(op);
    },
    ropeAndCache(op) {
      const { cache, heads, rotaryDim } = op;
      sameCols('ropeAndCache', op.qkv, (heads + 2 * cache.kvHeads) * cache.headDim);
      if (rotaryDim % 2 !== 0 || rotaryDim > cache.headDim) {
        throw new DeviceError(`ropeAndCache: rotaryDim ${rotaryDim} must be even and at most ${cache.headDim}`);
      }
      if (rotaryDim > 0 && op.rope.length % rotaryDim !== 0) {
        throw new DeviceError(`ropeAndCache: rope table of ${op.rope.length} is not rows of ${rotaryDim}`);
      }
      if (op.qNorm) length('ropeAndCache qNorm', op.qNorm, cache.headDim);
      if (op.kNorm) length('ropeAndCache kNorm', op.kNorm, cache.headDim);
      layer('ropeAndCache', cache, op.layer);
      record.ropeAndCache(op);
    },
    attention(op) {
      const { cache, heads } = op;
      if (heads % cache.kvHeads !== 0) {
        throw new DeviceError(`attention: ${heads} heads are not a multiple of ${cache.kvHeads} K/V heads`);
      }
      sameCols('attention', op.qkv, (heads + 2 * cache.kvHeads) * cache.headDim);
      sameCols('attention out', op.out, heads * cache.headDim);
      layer('attention', cache, op.layer);
      record.attention(op);
    },
    gatedActivation(op) {
      sameCols('gatedActivation', op.x, 2 * op.out.cols);
      domain('gatedActivation', op.out, op.x.domain);
      record.gatedActivation(op);
    },
    gatherRows(op) {
      sameCols('gatherRows', op.out, op.x.cols);
      domain('gatherRows', op.x, 'tokens');
      domain('gatherRows out', op.out, 'logits');
      record.gatherRows(op);
    },
    reduceLogits(op) {
      domain('reduceLogits', op.logits, 'logits');
      if (op.out.logits !== op.logits) {
        throw new DeviceError(`reduceLogits: the reduction is of tensor ${op.out.logits.name}, not ${op.logits.name}`);
      }
      record.reduceLogits(op);
    },
  };
}

function sameCols(where: string, tensor: Tensor, cols: number): void {
  if (tensor.cols !== cols) {
    throw new DeviceError(`${where}: tensor ${tensor.name} has ${tensor.cols} columns, expected ${cols}`);
  }
}

function domain(where: string, tensor: Tensor, expected: string): void {
  if (tensor.domain !== expected) {
    throw new DeviceError(`${where}: tensor ${tensor.name} has ${tensor.domain} rows, expected ${expected}`);
  }
}

function length(where: string, constant: Constant, expected: number): void {
  if (constant.length !== expected) {
    throw new DeviceError(`${where}: ${constant.name} has ${constant.length} values, expected ${expected}`);
  }
}

function layer(where: string, cache: KvCache, index: number): void {
  if (!(index >= 0 && index < cache.layers)) {
    throw new DeviceError(`${where}: layer ${index} is outside 0 … ${cache.layers - 1}`);
  }
}

/** What a step's numbers are checked against, gathered while a plan is recorded. */
export interface StepBounds {
  readonly limits: StepLimits;
  /** Most token rows of the plan. */
  readonly maxRows: number;
  /** Rows of the embedding table; token ids must be below. */
  readonly vocabSize: number;
  /** Rows of the shortest rope table; positions must be below. */
  readonly positions: number;
  /** Blocks of the K/V cache. */
  readonly blocks: number;
  /** Columns of the logits that the plan reduces; 0 when it reduces none. */
  readonly reducedCols: number;
}

/**
 * Throws unless every index of a step is in range: tokens, positions, slots, blocks (as far as positions reach), logit
 * rows and copied blocks. Kernels index without looking again.
 */
export function checkStep(step: StepInput, bounds: StepBounds): void {
  const { limits } = bounds;
  const rows = step.tokens.length;
  atMost('token rows', rows, Math.min(bounds.maxRows, limits.maxRows));
  atMost('sequences', step.blockTables.length, limits.maxSlots);
  atMost('logit rows', step.logitRows.length, limits.maxLogitRows);
  if (rows === 0) throw new DeviceError('step: no token rows');
  if (step.positions.length !== rows || step.slots.length !== rows) {
    throw new DeviceError(
      `step: ${rows} tokens, ${step.positions.length} positions and ${step.slots.length} slots; expected as many of each`,
    );
  }
  for (let r = 0; r < rows; r++) {
    inRange('token id', step.tokens[r], bounds.vocabSize, r);
    inRange('position', step.positions[r], bounds.positions, r);
    inRange('slot', step.slots[r], step.blockTables.length, r);
    const needed = Math.floor(step.positions[r] / KV_BLOCK_SIZE) + 1;
    const table = step.blockTables[step.slots[r]];
    if (table.length < needed) {
      throw new DeviceError(
        `step: row ${r} at position ${step.positions[r]} needs ${needed} blocks; its table has ${table.length}`,
      );
    }
  }
  for (const table of step.blockTables) {
    atMost('blocks of one sequence', table.length, limits.maxBlocksPerSlot);
    for (let i = 0; i < table.length; i++) inRange('block', table[i], bounds.blocks, i);
  }
  for (let i = 0; i < step.logitRows.length; i++) inRange('logit row', step.logitRows[i], rows, i);
  checkReductions(step, bounds.reducedCols);
  for (const [i, { from, to }] of (step.copies ?? []).entries()) {
    inRange('copied block', from, bounds.blocks, i);
    inRange('copied block', to, bounds.blocks, i);
  }
}

function checkReductions({ reductions, logitRows }: StepInput, cols: number): void {
  if (!reductions) return;
  if (cols === 0) throw new DeviceError('step: reductions are wanted, but the plan has no reduceLogits');
  if (reductions.length !== logitRows.length) {
    throw new DeviceError(`step: ${logitRows.length} logit rows and ${reductions.length} reductions; expected as many`);
  }
  for (const [row, reduction] of reductions.entries()) {
    if (!reduction) continue;
    const { top, scale = 1, picks = [] } = reduction;
    if (top === 0) throw new DeviceError(`step: the reduction of row ${row} wants no logits; expected at least 1`);
    inRange('top', top, MAX_REDUCTION_TOP + 1, row);
    if (!(scale > 0 && scale < Number.POSITIVE_INFINITY)) {
      throw new DeviceError(`step: scale ${scale} at ${row}; expected a number above 0`);
    }
    atMost('picks', picks.length, MAX_REDUCTION_PICKS);
    for (let i = 0; i < picks.length; i++) inRange('picked token', picks[i], cols, row);
  }
}

function atMost(what: string, found: number, limit: number): void {
  if (found > limit) throw new DeviceError(`step: ${found} ${what}, at most ${limit}`);
}

function inRange(what: string, value: number, limit: number, at: number): void {
  if (!(Number.isInteger(value) && value >= 0 && value < limit)) {
    throw new DeviceError(`step: ${what} ${value} at ${at} is outside 0 … ${limit - 1}`);
  }
}
