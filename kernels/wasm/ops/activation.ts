/**
 * out[r][i] = act(x[r][i]), or act(gate) · up with gate = x[r][i], up = x[r][n + i]; a task is a stretch of
 * {@link STRETCH} columns of one row. With a limit: gate = min(gate, limit), up = clamp(up, ±limit) + 1.
 *
 * silu(g) = g / (1 + e^−g). quick_gelu(g) = g / (1 + e^−1.702g). gelu_tanh(g) = g / (1 + e^−2y) with
 * y = √(2/π)·(g + 0.044715·g³), since ½(1 + tanh y) = 1 / (1 + e^−2y). gelu(g) = g · Φ(g), with Φ within 1e-7 by
 * Abramowitz and Stegun, 7.1.26. Bound by the arithmetic of exp, some 25 operations for four elements.
 */

import { $, f32, f32x4, i32, if_, local, v128 } from 'wasmati';
import type { Activation } from '../../contract.ts';
import { type Frame, forEachTask, forRange, type I32, opKernel, type V128 } from '../emit.ts';
import { emitExp, f32x4Const } from '../vector-math.ts';

/** Columns of one task; a single decode row is shared among threads this way. */
export const STRETCH = 512;

/** Argument value of each activation. */
export const ACTIVATION_CODE: Readonly<Record<Activation, number>> = {
  silu: 0,
  gelu_tanh: 1,
  quick_gelu: 2,
  gelu: 3,
  relu: 4,
};

/** Abramowitz and Stegun, 7.1.26: p, and the coefficients from the highest power down. */
const ERF_T = 0.3275911;
const ERF_POLYNOMIAL = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592];

const ARGS = {
  x: 'i32',
  out: 'i32',
  xStride: 'i32',
  outStride: 'i32',
  cols: 'i32',
  stretches: 'i32',
  activation: 'i32',
  /** 0 for none. */
  limit: 'f32',
  rows: 'step',
} as const;

export const gatedActivation = activationOp(true);
export const activation = activationOp(false);

function activationOp(gated: boolean) {
  return opKernel(gated ? 'gatedActivation' : 'activation', ARGS, (frame, a) => {
    const [task, tasks, at, end, gate, up, out] = Array.from({ length: 7 }, () => frame.i32());
    const [g, u, limit] = frame.v128s(3);
    const activate = emitActivation(frame, a.activation);

    const stretchOf = (pointer: I32, base: I32, stride: I32) => {
      i32.mul(i32.div_u(task, a.stretches), stride);
      local.set(pointer, i32.add($, base));
    };
    /** Four elements at byte offset `at` of the row. */
    const four = () => {
      local.set(g, v128.load({}, i32.add(gate, at)));
      if (gated) {
        local.set(u, v128.load({}, i32.add(up, at)));
        f32.ne(a.limit, 0);
        if_(null, () => {
          local.set(limit, f32x4.splat(a.limit));
          local.set(g, f32x4.min(g, limit));
          f32x4.max(u, f32x4.neg(limit));
          f32x4.min($, limit);
          local.set(u, f32x4.add($, f32x4Const(1)));
        });
      }
      activate(g);
      i32.add(out, at);
      local.get(g);
      if (gated) f32x4.mul($, u);
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
      forRange(at, at, end, 16, () => {
        // Beyond the gate lies the up part: there the last vector is taken from the end. Padding is zero and stays so.
        if (gated) {
          i32.gt_s(i32.add(at, 16), end);
          if_(null, () => local.set(at, i32.sub(end, 16)));
        }
        four();
      });
    });
  });
}

/** Gives a routine for x = act(x) in each lane. */
function emitActivation(frame: Frame, code: I32): (x: V128) => void {
  const [e, t] = frame.v128s(2);
  const exp = emitExp(frame);
  const is = (name: Activation) => i32.eq(code, ACTIVATION_CODE[name]);

  /** e = the y of x / (1 + e^y). */
  const exponent = (x: V128) => {
    is('gelu_tanh');
    if_(
      null,
      () => {
        f32x4.mul(x, x);
        f32x4.mul($, x);
        f32x4.mul($, f32x4Const(0.044715));
        f32x4.add($, x);
        local.set(e, f32x4.mul($, f32x4Const(-2 * Math.sqrt(2 / Math.PI))));
      },
      () => {
        local.set(e, f32x4.neg(x));
        is('quick_gelu');
        if_(null, () => local.set(e, f32x4.mul(e, f32x4Const(1.702))));
      },
    );
  };
  const sigmoidal = (x: V128) => {
    exponent(x);
    exp(e);
    f32x4.add(e, f32x4Const(1));
    local.set(e, $);
    local.set(x, f32x4.div(x, e));
  };
  /** Φ(−|x|) = ½ · polynomial(t) · e^(−x²/2), t = 1 / (1 + p·|x|/√2); of the other sign it is 1 less that. */
  const gaussian = (x: V128) => {
    f32x4Const(1);
    f32x4.mul(f32x4.abs(x), f32x4Const(ERF_T * Math.SQRT1_2));
    f32x4.add($, f32x4Const(1));
    local.set(t, f32x4.div($, $));
    f32x4.mul(x, x);
    local.set(e, f32x4.mul($, f32x4Const(-0.5)));
    exp(e);
    f32x4Const(ERF_POLYNOMIAL[0]);
    for (const coefficient of ERF_POLYNOMIAL.slice(1)) {
      f32x4.mul($, t);
      f32x4.add($, f32x4Const(coefficient));
    }
    f32x4.mul($, t);
    f32x4.mul($, e);
    local.set(t, f32x4.mul($, f32x4Const(0.5)));
    f32x4.sub(f32x4Const(1), t);
    local.get(t);
    f32x4.ge(x, f32x4Const(0));
    local.set(t, v128.bitselect($, $, $));
    local.set(x, f32x4.mul(x, t));
  };

  return (x) => {
    is('relu');
    if_(
      null,
      () => local.set(x, f32x4.max(x, f32x4Const(0))),
      () => {
        is('gelu');
        if_(
          null,
          () => gaussian(x),
          () => sigmoidal(x),
        );
      },
    );
  };
}
