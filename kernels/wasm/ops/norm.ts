/**
 * RMS norm with the residual add before it, one task a row:
 * x += add; out = x / sqrt(mean(x²) + eps) · weight.
 *
 * x, add, out: f32 `[rows, stride]`, padding columns zero. The squares are summed in four lanes, column i in lane i mod 4,
 * then (0 + 1) + (2 + 3). Memory-bound: one row is a few KiB and stays in L1.
 */

import { $, f32, f32x4, i32, if_, local, v128 } from 'wasmati';
import { forEachTask, forRange, type I32, opKernel } from '../emit.ts';
import { f32x4Const, sumLanes } from '../vector-math.ts';

export const norm = opKernel(
  'norm',
  {
    x: 'i32',
    add: 'i32',
    weight: 'i32',
    out: 'i32',
    xStride: 'i32',
    addStride: 'i32',
    outStride: 'i32',
    rowBytes: 'i32',
    cols: 'f32',
    eps: 'f32',
    rows: 'step',
  },
  (frame, a) => {
    const row = frame.i32();
    const [x, add, out, at] = [frame.i32(), frame.i32(), frame.i32(), frame.i32()];
    const value = frame.v128();
    const squares = frame.v128();
    const scale = frame.f32();

    const rowPointer = (pointer: I32, base: I32, stride: I32) => {
      local.set(pointer, i32.add(base, i32.mul(row, stride)));
    };

    forEachTask(row, a.rows, () => {
      rowPointer(x, a.x, a.xStride);
      rowPointer(out, a.out, a.outStride);
      local.set(squares, f32x4Const(0));
      local.get(a.add);
      if_(
        null,
        () => {
          rowPointer(add, a.add, a.addStride);
          forRange(at, 0, a.rowBytes, 16, () => {
            v128.load({}, i32.add(x, at));
            v128.load({}, i32.add(add, at));
            local.set(value, f32x4.add($, $));
            v128.store({}, i32.add(x, at), value);
            local.set(squares, f32x4.add(squares, f32x4.mul(value, value)));
          });
        },
        () => {
          forRange(at, 0, a.rowBytes, 16, () => {
            local.set(value, v128.load({}, i32.add(x, at)));
            local.set(squares, f32x4.add(squares, f32x4.mul(value, value)));
          });
        },
      );
      sumLanes(scale, squares);
      f32.const(1);
      f32.sqrt(f32.add(f32.div(scale, a.cols), a.eps));
      local.set(scale, f32.div($, $));
      local.set(squares, f32x4.splat(scale));
      forRange(at, 0, a.rowBytes, 16, () => {
        i32.add(out, at);
        f32x4.mul(v128.load({}, i32.add(x, at)), squares);
        v128.load({}, i32.add(a.weight, at));
        f32x4.mul($, $);
        v128.store({}, $, $);
      });
    });
  },
);
