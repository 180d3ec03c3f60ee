/** Ops as closures over their operands, which a plan runs in order. */

import type { OpRecorder, StepInput, Tensor } from '../contract.ts';
import type {
  ReferenceConstant,
  ReferenceKvCache,
  ReferenceReduction,
  ReferenceRoutes,
  ReferenceTensor,
  ReferenceWeight,
} from './buffers.ts';
import {
  activate,
  attendOne,
  chooseExperts,
  layerNorm,
  linear,
  pageOffset,
  rmsNorm,
  rotate,
  scaleAndCap,
  sigmoid,
} from './ops.ts';
import { reduceRow } from './reduce-logits.ts';

export type Op = (step: StepInput) => void;

export class ReferenceRecorder implements OpRecorder {
  readonly ops: Op[] = [];
  readonly caches = new Set<ReferenceKvCache>();
  vocabSize = Number.POSITIVE_INFINITY;
  positions = Number.POSITIVE_INFINITY;
  blocks = Number.POSITIVE_INFINITY;
  reducedCols = 0;

  embed(op: Parameters<OpRecorder['embed']>[0]): void {
    const { values, rows, cols } = op.table as ReferenceWeight;
    const out = (op.out as ReferenceTensor).values;
    const scale = op.scale ?? 1;
    this.vocabSize = Math.min(this.vocabSize, rows);
    this.ops.push(({ tokens }) => {
      for (let r = 0; r < tokens.length; r++) {
        for (let i = 0; i < cols; i++) out[r * cols + i] = values[tokens[r] * cols + i] * scale;
      }
    });
  }

  norm(op: Parameters<OpRecorder['norm']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const add = op.add && (op.add as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const weight = (op.weight as ReferenceConstant).values;
    const bias = op.bias && (op.bias as ReferenceConstant).values;
    const { cols } = op.x;
    const { addScale = 1 } = op;
    const first = op.columns?.first ?? 0;
    this.ops.push((step) => {
      const rows = rowsOf(op.x, step);
      if (add) for (let i = 0; i < rows * cols; i++) x[i] += Math.fround(addScale) * add[i];
      for (let r = 0; r < rows; r++) {
        const at = r * cols + first;
        if (out !== x) out.set(x.subarray(at, at + weight.length), at);
        if (op.centered) layerNorm(out, at, weight, op.eps);
        else rmsNorm(out, at, weight, op.eps);
        if (bias) for (let i = 0; i < bias.length; i++) out[at + i] += bias[i];
      }
    });
  }

  addScaled(op: Parameters<OpRecorder['addScaled']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const add = (op.add as ReferenceTensor).values;
    const gate = op.gate && (op.gate as ReferenceTensor).values;
    const { cols } = op.x;
    this.ops.push((step) => {
      for (let r = 0; r < rowsOf(op.x, step); r++) {
        const scale = (op.scale ?? 1) * (gate ? sigmoid(gate[r]) : 1);
        for (let i = 0; i < cols; i++) x[r * cols + i] += scale * add[r * cols + i];
      }
    });
  }

  scaleAndCap(op: Parameters<OpRecorder['scaleAndCap']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    this.ops.push((step) => {
      const count = rowsOf(op.x, step) * op.x.cols;
      for (let i = 0; i < count; i++) x[i] = scaleAndCap(x[i], Math.fround(op.scale), op.cap);
    });
  }

  linear(op: Parameters<OpRecorder['linear']>[0]): void {
    const x = op.x as ReferenceTensor;
    const out = op.out as ReferenceTensor;
    const bias = op.bias && (op.bias as ReferenceConstant).values;
    this.ops.push((step) => {
      const rows = rowsOf(x, step);
      let column = op.columns?.first ?? 0;
      for (const weight of op.weights) {
        const part = bias?.subarray(column, column + weight.rows);
        const result = linear(x.values, (weight as ReferenceWeight).values, part, rows, x.cols);
        for (let r = 0; r < rows; r++) {
          out.values.set(result.subarray(r * weight.rows, (r + 1) * weight.rows), r * out.cols + column);
        }
        column += weight.rows;
      }
    });
  }

  ropeAndCache(op: Parameters<OpRecorder['ropeAndCache']>[0]): void {
    const qkv = op.qkv as ReferenceTensor;
    const cache = op.cache as ReferenceKvCache;
    const rope = op.rope && (op.rope as ReferenceConstant).values;
    const { heads, rotaryDim, normEps = 0 } = op;
    const { kvHeads, headDim } = cache;
    const qNorm = op.qNorm && (op.qNorm as ReferenceConstant).values;
    const kNorm = op.kNorm && (op.kNorm as ReferenceConstant).values;
    if (rope) this.positions = Math.min(this.positions, rope.length / rotaryDim);
    this.blocks = Math.min(this.blocks, cache.blocks);
    this.caches.add(cache);
    this.ops.push(({ positions, slots, blockTables, ropeRows = positions }) => {
      for (let r = 0; r < positions.length; r++) {
        for (let h = 0; h < heads + kvHeads; h++) {
          const at = r * qkv.cols + h * headDim;
          const weight = h < heads ? qNorm : kNorm;
          if (weight) rmsNorm(qkv.values, at, weight, normEps);
          if (rope) rotate(qkv.values, at, rope, ropeRows[r], rotaryDim);
        }
        for (let h = 0; h < kvHeads; h++) {
          const to = pageOffset(cache.keys[op.layer], blockTables[slots[r]], positions[r], h);
          const k = r * qkv.cols + (heads + h) * headDim;
          const v = k + kvHeads * headDim;
          cache.keys[op.layer].data.set(cache.stored(qkv.values.subarray(k, k + headDim)), to);
          cache.values[op.layer].data.set(cache.stored(qkv.values.subarray(v, v + headDim)), to);
        }
      }
    });
  }

  attention(op: Parameters<OpRecorder['attention']>[0]): void {
    const qkv = op.qkv as ReferenceTensor;
    const out = op.out as ReferenceTensor;
    const cache = op.cache as ReferenceKvCache;
    const { headDim } = cache;
    const groupSize = op.heads / cache.kvHeads;
    const sinks = op.sinks && (op.sinks as ReferenceConstant).values;
    this.ops.push(({ positions, slots, blockTables }) => {
      for (let r = 0; r < positions.length; r++) {
        const last = positions[r];
        const first = op.window ? Math.max(0, last - op.window + 1) : 0;
        for (let h = 0; h < op.heads; h++) {
          attendOne(
            qkv.values,
            r * qkv.cols + h * headDim,
            cache.keys[op.layer],
            cache.values[op.layer],
            blockTables[slots[r]],
            Math.floor(h / groupSize),
            first,
            last,
            { scale: op.scale, softcap: op.softcap, sink: sinks?.[h] },
            out.values,
            r * out.cols + h * headDim,
          );
        }
      }
    });
  }

  gatedActivation(op: Parameters<OpRecorder['gatedActivation']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.out;
    const { activation, limit } = op;
    this.ops.push((step) => {
      for (let r = 0; r < rowsOf(op.x, step); r++) {
        for (let i = 0; i < cols; i++) {
          let gate = x[r * 2 * cols + i];
          let up = x[r * 2 * cols + cols + i];
          if (limit !== undefined) {
            gate = Math.min(gate, limit);
            up = Math.min(Math.max(up, -limit), limit) + 1;
          }
          out[r * cols + i] = activate(activation, gate) * up;
        }
      }
    });
  }

  activation(op: Parameters<OpRecorder['activation']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    this.ops.push((step) => {
      const count = rowsOf(op.x, step) * op.x.cols;
      for (let i = 0; i < count; i++) out[i] = activate(op.activation, x[i]);
    });
  }

  route(op: Parameters<OpRecorder['route']>[0]): void {
    const scores = (op.scores as ReferenceTensor).values;
    const { chosen, weights, experts, perToken } = op.routes as ReferenceRoutes;
    this.ops.push(({ tokens }) => {
      for (let r = 0; r < tokens.length; r++) {
        const routes = chooseExperts(scores.subarray(r * experts, (r + 1) * experts), perToken, op);
        chosen.set(routes.chosen, r * perToken);
        weights.set(routes.weights, r * perToken);
      }
    });
  }

  gatherRoutes(op: Parameters<OpRecorder['gatherRoutes']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.x;
    const { perToken } = op.routes;
    this.ops.push(({ tokens }) => {
      for (let p = 0; p < tokens.length * perToken; p++) {
        const from = Math.floor(p / perToken) * cols;
        out.set(x.subarray(from, from + cols), p * cols);
      }
    });
  }

  expertLinear(op: Parameters<OpRecorder['expertLinear']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const bias = op.bias && (op.bias as ReferenceConstant).values;
    const { chosen, perToken, experts } = op.routes as ReferenceRoutes;
    const { cols } = op.x;
    this.ops.push(({ tokens }) => {
      for (let p = 0; p < tokens.length * perToken; p++) {
        const row = x.subarray(p * cols, (p + 1) * cols);
        let column = 0;
        for (const weight of op.weights as readonly ReferenceWeight[]) {
          const outs = weight.rows / experts;
          const matrix = weight.values.subarray(chosen[p] * outs * cols, (chosen[p] + 1) * outs * cols);
          const biasAt = chosen[p] * op.out.cols + column;
          out.set(linear(row, matrix, bias?.subarray(biasAt, biasAt + outs), 1, cols), p * op.out.cols + column);
          column += outs;
        }
      }
    });
  }

  mixRoutes(op: Parameters<OpRecorder['mixRoutes']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.x;
    const { weights, perToken } = op.routes as ReferenceRoutes;
    this.ops.push(({ tokens }) => {
      for (let r = 0; r < tokens.length; r++) {
        for (let i = 0; i < cols; i++) {
          let sum = 0;
          for (let p = r * perToken; p < (r + 1) * perToken; p++) sum += weights[p] * x[p * cols + i];
          out[r * cols + i] = sum;
        }
      }
    });
  }

  gatherRows(op: Parameters<OpRecorder['gatherRows']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.x;
    this.ops.push(({ logitRows }) => {
      for (let j = 0; j < logitRows.length; j++) {
        out.set(x.subarray(logitRows[j] * cols, (logitRows[j] + 1) * cols), j * cols);
      }
    });
  }

  reduceLogits(op: Parameters<OpRecorder['reduceLogits']>[0]): void {
    const { values, cols } = op.logits as ReferenceTensor;
    const out = op.out as ReferenceReduction;
    this.reducedCols = cols;
    this.ops.push(({ logitRows, reductions = [] }) => {
      out.rows = Array.from(logitRows, (_, row) => {
        const wanted = reductions[row];
        return wanted ? reduceRow(values.slice(row * cols, (row + 1) * cols), wanted) : null;
      });
    });
  }
}

function rowsOf(tensor: Tensor, step: StepInput): number {
  return tensor.perRow * (tensor.domain === 'tokens' ? step.tokens.length : step.logitRows.length);
}
