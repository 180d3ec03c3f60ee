/**
 * What is done to each element of a row by itself: `addScaled` and `scaleAndCap`. A task is a stretch of
 * {@link ELEMENT_STRETCH} columns of one row. Bound by memory, tanh aside.
 */

import { $, f32, f32x4, i32, if_, local, v128 } from 'wasmati';
import { type Frame, forEachTask, forRange, type I32, opKernel, type V128 } from '../emit.ts';
import { emitExp, f32x4Const } from '../vector-math.ts';

/** Columns of one task; a single decode row is shared among threads this way. */
export const ELEMENT_STRETCH = 1024;

/** Deals out stretches of rows; `body` gets the row, and in `at` and `end` the bytes of the row that it is to do. */
function forEachStretch(
  frame: Frame,
  a: { readonly rows: I32; readonly stretches: I32; readonly rowBytes: I32 },
  body: (row: I32, at: I32, end: I32) => void,
): void {
  const [task, tasks, row, at, end] = Array.from({ length: 5 }, () => frame.i32());
  local.set(tasks, i32.mul(a.rows, a.stretches));
  forEachTask(task, tasks, () => {
    local.set(row, i32.div_u(task, a.stretches));
    local.set(at, i32.mul(i32.rem_u(task, a.stretches), 4 * ELEMENT_STRETCH));
    local.set(end, i32.add(at, 4 * ELEMENT_STRETCH));
    i32.gt_s(end, a.rowBytes);
    if_(null, () => local.set(end, a.rowBytes));
    body(row, at, end);
  });
}

/** x += scale · add, or scale · add / (1 + e^−gate) with one gate a row. */
export const addScaled = opKernel(
  'addScaled',
  {
    x: 'i32',
    add: 'i32',
    gate: 'i32',
    xStride: 'i32',
    addStride: 'i32',
    gateStride: 'i32',
    rowBytes: 'i32',
    stretches: 'i32',
    scale: 'f32',
    rows: 'step',
  },
  (frame, a) => {
    const [x, add] = [frame.i32(), frame.i32()];
    const factor = frame.v128();
    const exp = emitExp(frame);
    forEachStretch(frame, a, (row, at, end) => {
      local.set(x, i32.add(a.x, i32.mul(row, a.xStride)));
      local.set(add, i32.add(a.add, i32.mul(row, a.addStride)));
      local.set(factor, f32x4.splat(a.scale));
      local.get(a.gate);
      if_(null, () => {
        i32.add(a.gate, i32.mul(row, a.gateStride));
        local.set(factor, f32x4.neg(f32x4.splat(f32.load({}, $))));
        exp(factor);
        f32x4.splat(a.scale);
        f32x4.add(factor, f32x4Const(1));
        local.set(factor, f32x4.div($, $));
      });
      forRange(at, at, end, 16, () => {
        i32.add(x, at);
        v128.load({}, i32.add(x, at));
        f32x4.mul(v128.load({}, i32.add(add, at)), factor);
        f32x4.add($, $);
        v128.store({}, $, $);
      });
    });
  },
);

/** x = cap · tanh(x · scale / cap), or x · scale where cap is 0. */
export const scaleAndCap = opKernel(
  'scaleAndCap',
  { x: 'i32', stride: 'i32', rowBytes: 'i32', stretches: 'i32', scale: 'f32', cap: 'f32', rows: 'step' },
  (frame, a) => {
    const x = frame.i32();
    const value = frame.v128();
    const capScores = emitSoftcap(frame);
    forEachStretch(frame, a, (row, at, end) => {
      local.set(x, i32.add(a.x, i32.mul(row, a.stride)));
      forRange(at, at, end, 16, () => {
        local.set(value, f32x4.mul(v128.load({}, i32.add(x, at)), f32x4.splat(a.scale)));
        f32.ne(a.cap, 0);
        if_(null, () => capScores(value, a.cap));
        v128.store({}, i32.add(x, at), value);
      });
    });
  },
);

/** Gives a routine for x = cap · tanh(x / cap) in each lane, with tanh y = 1 − 2 / (1 + e^2y). */
export function emitSoftcap(frame: Frame): (x: V128, cap: ReturnType<Frame['f32']>) => void {
  const exp = emitExp(frame);
  const caps = frame.v128();
  return (x, cap) => {
    local.set(caps, f32x4.splat(cap));
    f32x4.div(x, caps);
    local.set(x, f32x4.mul($, f32x4Const(2)));
    exp(x);
    f32x4Const(1);
    f32x4Const(2);
    f32x4.div($, f32x4.add(x, f32x4Const(1)));
    f32x4.sub($, $);
    local.set(x, f32x4.mul($, caps));
  };
}
