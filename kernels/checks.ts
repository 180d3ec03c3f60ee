/** Shape and range checks that every device makes, so that a wrong plan or step fails at once and in the same words. */

import type { Constant, KvCache, OpRecorder, Routes, StepInput, StepLimits, Tensor, Weight } from './contract.ts';
import { KV_BLOCK_SIZE, MAX_REDUCTION_PICKS, MAX_REDUCTION_TOP } from './contract.ts';
import { DeviceError } from './errors.ts';
import { type FileFormat, rowBytes } from './formats.ts';

/**
 * How many rows of a weight in `format` `data` holds.
 * @throws DeviceError when they are not whole, or the weight has not as many from `firstRow` on
 */
export function rowsToWrite(
  { name, rows, cols }: Weight,
  firstRow: number,
  data: Uint8Array,
  format: FileFormat,
): number {
  const count = data.length / rowBytes(format, cols);
  if (Number.isInteger(count) && firstRow >= 0 && firstRow + count <= rows) return count;
  throw new DeviceError(`writeWeight ${name}: ${count} rows from ${firstRow} do not fit ${rows} rows`);
}

/** Wraps a recorder so that each op's shapes are checked before the device sees it. */
export function checkedRecorder(record: OpRecorder): OpRecorder {
  return {
    embed(op) {
      sameCols('embed', op.out, op.table.cols);
      domain('embed', op.out, 'tokens');
      record.embed(op);
    },
    norm(op) {
      sameShape('norm', op.out, op.x);
      if (op.columns) columns('norm', op.x, op.columns.first, op.weight.length);
      else length('norm weight', op.weight, op.x.cols);
      if (op.bias) length('norm bias', op.bias, op.weight.length);
      if (op.add) sameShape('norm add', op.add, op.x);
      record.norm(op);
    },
    addScaled(op) {
      sameShape('addScaled', op.add, op.x);
      if (op.gate) {
        sameCols('addScaled gate', op.gate, 1);
        sameRows('addScaled gate', op.gate, op.x);
      }
      record.addScaled(op);
    },
    scaleAndCap(op) {
      record.scaleAndCap(op);
    },
    linear(op) {
      if (op.weights.length === 0) throw new DeviceError('linear: expected at least one weight');
      for (const weight of op.weights) {
        if (weight.cols !== op.x.cols) {
          throw new DeviceError(`linear ${weight.name}: weight has ${weight.cols} columns, x has ${op.x.cols}`);
        }
      }
      const rows = op.weights.reduce((sum, weight) => sum + weight.rows, 0);
      if (op.columns) {
        columns(`linear ${op.weights[0].name}`, op.out, op.columns.first, rows);
        if (op.bias) throw new DeviceError(`linear ${op.weights[0].name}: columns and a bias; expected one of them`);
      } else sameCols(`linear ${op.weights[0].name}`, op.out, rows);
      sameRows('linear', op.out, op.x);
      if (op.bias) length('linear bias', op.bias, rows);
      record.linear(op);
    },
    ropeAndCache(op) {
      const { cache, heads, rotaryDim } = op;
      sameCols('ropeAndCache', op.qkv, (heads + 2 * cache.kvHeads) * cache.headDim);
      if (rotaryDim % 2 !== 0 || rotaryDim > cache.headDim) {
        throw new DeviceError(`ropeAndCache: rotaryDim ${rotaryDim} must be even and at most ${cache.headDim}`);
      }
      if (op.rope === undefined ? rotaryDim > 0 : rotaryDim === 0 || op.rope.length % rotaryDim !== 0) {
        throw new DeviceError(`ropeAndCache: rope table of ${op.rope?.length ?? 0} is not rows of ${rotaryDim}`);
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
      if (op.sinks) length('attention sinks', op.sinks, heads);
      layer('attention', cache, op.layer);
      record.attention(op);
    },
    gatedActivation(op) {
      sameCols('gatedActivation', op.x, 2 * op.out.cols);
      sameRows('gatedActivation', op.out, op.x);
      record.gatedActivation(op);
    },
    activation(op) {
      sameShape('activation', op.out, op.x);
      record.activation(op);
    },
    route(op) {
      sameCols('route', op.scores, op.routes.experts);
      domain('route', op.scores, 'tokens');
      if (op.groups) expertGroups(op.groups, op.routes);
      record.route(op);
    },
    gatherRoutes(op) {
      sameCols('gatherRoutes', op.out, op.x.cols);
      routed('gatherRoutes', op.out, op.x, op.routes);
      record.gatherRoutes(op);
    },
    expertLinear(op) {
      const { x, weights, routes, out } = op;
      if (weights.length === 0) throw new DeviceError('expertLinear: expected at least one weight');
      for (const weight of weights) {
        expertMatrices(weight, routes);
        sameCols(`expertLinear ${weight.name}`, x, weight.cols);
      }
      const rows = weights.reduce((sum, weight) => sum + weight.rows, 0);
      sameCols(`expertLinear ${weights[0].name}`, out, rows / routes.experts);
      sameRows('expertLinear', out, x);
      if (x.perRow !== routes.perToken)
        throw new DeviceError(`expertLinear: tensor ${x.name} has no row for each route`);
      if (op.bias) length('expertLinear bias', op.bias, rows);
      record.expertLinear(op);
    },
    mixRoutes(op) {
      sameCols('mixRoutes', op.out, op.x.cols);
      routed('mixRoutes', op.x, op.out, op.routes);
      record.mixRoutes(op);
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

function sameRows(where: string, tensor: Tensor, other: Tensor): void {
  domain(where, tensor, other.domain);
  if (tensor.perRow !== other.perRow) {
    throw new DeviceError(`${where}: tensor ${tensor.name} has ${tensor.perRow} rows a row, expected ${other.perRow}`);
  }
}

function sameShape(where: string, tensor: Tensor, other: Tensor): void {
  sameCols(where, tensor, other.cols);
  sameRows(where, tensor, other);
}

/** `many` has a row for each route of the token rows of `one`. */
function routed(where: string, many: Tensor, one: Tensor, routes: Routes): void {
  domain(where, many, 'tokens');
  domain(where, one, 'tokens');
  if (many.perRow !== routes.perToken || one.perRow !== 1) {
    throw new DeviceError(
      `${where}: tensors ${many.name} and ${one.name} have ${many.perRow} and ${one.perRow} rows a token, expected ${routes.perToken} and 1`,
    );
  }
}

function expertMatrices(weight: Weight, { experts }: Routes): void {
  if (weight.matrices !== experts) {
    throw new DeviceError(
      `expertLinear ${weight.name}: ${weight.matrices} matrices, expected one for each of ${experts} experts`,
    );
  }
}

function expertGroups({ count, chosen }: { count: number; chosen: number }, { experts, perToken }: Routes): void {
  const fits = count >= 1 && count <= 32 && experts % count === 0 && chosen >= 1 && chosen <= count;
  if (!fits || perToken > (chosen * experts) / count) {
    throw new DeviceError(`route: ${chosen} of ${count} groups of ${experts} experts, ${perToken} a token`);
  }
}

function columns(where: string, tensor: Tensor, first: number, count: number): void {
  if (!(Number.isInteger(first) && first >= 0 && first + count <= tensor.cols)) {
    throw new DeviceError(`${where}: columns ${first} … ${first + count - 1} are outside tensor ${tensor.name}`);
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
  /** Rows of the shortest rope table. */
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
  if (step.ropeRows && step.ropeRows.length !== rows) {
    throw new DeviceError(`step: ${rows} tokens and ${step.ropeRows.length} rope rows; expected as many of each`);
  }
  if (step.positions.length !== rows || step.slots.length !== rows) {
    throw new DeviceError(
      `step: ${rows} tokens, ${step.positions.length} positions and ${step.slots.length} slots; expected as many of each`,
    );
  }
  for (let r = 0; r < rows; r++) {
    inRange('token id', step.tokens[r], bounds.vocabSize, r);
    inRange('position', step.positions[r], Number.MAX_SAFE_INTEGER, r);
    inRange('rope row', (step.ropeRows ?? step.positions)[r], bounds.positions, r);
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
