/**
 * RMS norm with the residual add before it, one task a row:
 * x += addScale · add; out = (x − shift) / sqrt(mean((x − shift)²) + eps) · weight + bias, with shift = mean(x) when
 * centred and 0 otherwise.
 *
 * x, add, out: f32 `[rows, stride]`, padding columns zero. Sums are in four lanes, column i in lane i mod 4, then
 * (0 + 1) + (2 + 3). Memory-bound: one row is a few KiB and stays in L1 from pass to pass.
 */

import { $, f32, f32x4, i32, i32x4, if_, local, v128 } from 'wasmati';
import { forEachTask, forRange, type I32, opKernel } from '../emit.ts';
import { f32x4Const, sumLanes } from '../vector-math.ts';

export const norm = opKernel(
  'norm',
  {
    x: 'i32',
    add: 'i32',
    addScale: 'f32',
    centered: 'i32',
    weight: 'i32',
    bias: 'i32',
    out: 'i32',
    xStride: 'i32',
    addStride: 'i32',
    outStride: 'i32',
    cols: 'i32',
    eps: 'f32',
    rows: 'step',
  },
  (frame, a) => {
    const row = frame.i32();
    const [x, add, out, at, wholeBytes, rowBytes] = Array.from({ length: 6 }, () => frame.i32());
    const [value, sums, shift, factor] = frame.v128s(4);
    const [sum, cols] = [frame.f32(), frame.f32()];

    const rowPointer = (pointer: I32, base: I32, stride: I32) => {
      local.set(pointer, i32.add(base, i32.mul(row, stride)));
    };
    const forVectors = (body: () => void) => forRange(at, 0, rowBytes, 16, body);
    const addResidual = () => {
      rowPointer(add, a.add, a.addStride);
      local.set(factor, f32x4.splat(a.addScale));
      forVectors(() => {
        i32.add(x, at);
        v128.load({}, i32.add(x, at));
        f32x4.mul(v128.load({}, i32.add(add, at)), factor);
        f32x4.add($, $);
        v128.store({}, $, $);
      });
    };
    const findMean = () => {
      local.set(sums, f32x4Const(0));
      forVectors(() => local.set(sums, f32x4.add(sums, v128.load({}, i32.add(x, at)))));
      sumLanes(sum, sums);
      local.set(shift, f32x4.splat(f32.div(sum, cols)));
    };
    const addSquares = () => local.set(sums, f32x4.add(sums, f32x4.mul(value, value)));
    const sumSquares = () => {
      local.set(sums, f32x4Const(0));
      forRange(at, 0, wholeBytes, 16, () => {
        local.set(value, f32x4.sub(v128.load({}, i32.add(x, at)), shift));
        addSquares();
      });
      i32.lt_s(at, rowBytes);
      if_(null, () => {
        f32x4.sub(v128.load({}, i32.add(x, at)), shift);
        v128.const('i32x4', [0, 1, 2, 3]);
        i32x4.lt_s($, i32x4.splat(i32.and(a.cols, 3)));
        local.set(value, v128.and($, $));
        addSquares();
      });
    };
    const writeRow = (withBias: boolean) =>
      forVectors(() => {
        i32.add(out, at);
        f32x4.mul(f32x4.sub(v128.load({}, i32.add(x, at)), shift), factor);
        v128.load({}, i32.add(a.weight, at));
        f32x4.mul($, $);
        if (withBias) f32x4.add($, v128.load({}, i32.add(a.bias, at)));
        v128.store({}, $, $);
      });

    local.set(cols, f32.convert_i32_s(a.cols));
    local.set(rowBytes, i32.shl(i32.and(i32.add(a.cols, 3), -4), 2));
    local.set(wholeBytes, i32.shl(i32.and(a.cols, -4), 2));
    forEachTask(row, a.rows, () => {
      rowPointer(x, a.x, a.xStride);
      rowPointer(out, a.out, a.outStride);
      local.get(a.add);
      if_(null, addResidual);
      local.set(shift, f32x4Const(0));
      local.get(a.centered);
      if_(null, findMean);
      sumSquares();
      sumLanes(sum, sums);
      f32.const(1);
      f32.sqrt(f32.add(f32.div(sum, cols), a.eps));
      local.set(sum, f32.div($, $));
      local.set(factor, f32x4.splat(sum));
      local.get(a.bias);
      if_(
        null,
        () => writeRow(true),
        () => writeRow(false),
      );
    });
  },
);
