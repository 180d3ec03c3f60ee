/**
 * out[r][i] = act(gate) · up, gate = x[r][i], up = x[r][n + i]; a task is a stretch of {@link STRETCH} columns of one row.
 *
 * silu(g) = g / (1 + e^−g). gelu_tanh(g) = g / (1 + e^−2y) with y = √(2/π)·(g + 0.044715·g³), since
 * ½(1 + tanh y) = 1 / (1 + e^−2y). Bound by the arithmetic of exp, some 25 operations for four elements.
 */

import { $, f32x4, i32, if_, local, v128 } from 'wasmati';
import { forEachTask, forRange, type I32, opKernel, type V128 } from '../emit.ts';
import { emitExp, f32x4Const } from '../vector-math.ts';

/** Columns of one task; a single decode row is shared among threads this way. */
export const STRETCH = 512;

/** Argument value of each activation. */
export const ACTIVATION_CODE = { silu: 0, gelu_tanh: 1 } as const;

export const gatedActivation = opKernel(
  'gatedActivation',
  {
    x: 'i32',
    out: 'i32',
    xStride: 'i32',
    outStride: 'i32',
    cols: 'i32',
    stretches: 'i32',
    activation: 'i32',
    rows: 'step',
  },
  (frame, a) => {
    const [task, tasks, at, end, gate, up, out] = Array.from({ length: 7 }, () => frame.i32());
    const [g, e] = frame.v128s(2);
    const exp = emitExp(frame);

    const stretchOf = (pointer: I32, base: I32, stride: I32) => {
      i32.mul(i32.div_u(task, a.stretches), stride);
      local.set(pointer, i32.add($, base));
    };
    /** exponent = the x of 1 / (1 + e^x). */
    const exponent = (into: V128, from: V128) => {
      local.get(a.activation);
      if_(
        null,
        () => {
          f32x4.mul(from, from);
          f32x4.mul($, from);
          f32x4.mul($, f32x4Const(0.044715));
          f32x4.add($, from);
          local.set(into, f32x4.mul($, f32x4Const(-2 * Math.sqrt(2 / Math.PI))));
        },
        () => local.set(into, f32x4.neg(from)),
      );
    };
    /** Four elements at byte offset `at` of the row. */
    const four = () => {
      local.set(g, v128.load({}, i32.add(gate, at)));
      exponent(e, g);
      exp(e);
      i32.add(out, at);
      f32x4.add(e, f32x4Const(1));
      local.set(e, $);
      f32x4.div(g, e);
      v128.load({}, i32.add(up, at));
      f32x4.mul($, $);
      v128.store({}, $, $);
    };

    local.set(tasks, i32.mul(a.rows, a.stretches));
    forEachTask(task, tasks, () => {
      stretchOf(gate, a.x, a.xStride);
      local.set(up, i32.add(gate, i32.shl(a.cols, 2)));
      stretchOf(out, a.out, a.outStride);
      local.set(at, i32.mul(i32.rem_u(task, a.stretches), STRETCH));
      local.set(end, i32.add(at, STRETCH));
      i32.gt_s(end, a.cols);
      if_(null, () => local.set(end, a.cols));
      local.set(at, i32.shl(at, 2));
      local.set(end, i32.shl(end, 2));
      // Whole vectors, then the last one again from the end so that it does not run over.
      forRange(at, at, end, 16, () => {
        i32.gt_s(i32.add(at, 16), end);
        if_(null, () => local.set(at, i32.sub(end, 16)));
        four();
      });
    });
  },
);
