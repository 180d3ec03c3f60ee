/**
 * For each row and each head of q, k and v: norm (q, k; if asked), rotate (q, k), and write k and v to their page.
 *
 * qkv: f32 `[rows, (heads + 2·kvHeads)·headDim]`. A task is one head of one row; q and k are rotated in place.
 * Pages of a layer: keys `[blocks, kvHeads, headDim, 16]`, so that attention reads sixteen positions as vectors;
 * values `[blocks, kvHeads, 16, headDim]`; floats, halves, or bytes behind the sixteen scales of a head's page. Rotation: pairs (i, i + rotaryDim/2),
 * (a, b) → (a·cos − b·sin, b·cos + a·sin). Memory-bound and small: every element is read and written once.
 */

import { $, f32, f32x4, i32, if_, local, v128 } from 'wasmati';
import { KV_BLOCK_SIZE, type KvFormat } from '../../contract.ts';
import { type ArgKinds, forEachTask, forRange, type I32, increment, opKernel } from '../emit.ts';
import { KV_ELEMENT_BYTES, KV_PAGE_HEADER } from '../layout.ts';
import { emitToHalf } from '../vector-math.ts';

const ARGS = {
  qkv: 'i32',
  stride: 'i32',
  heads: 'i32',
  kvHeads: 'i32',
  headDim: 'i32',
  rotaryDim: 'i32',
  rope: 'i32',
  qNorm: 'i32',
  kNorm: 'i32',
  headDimFloat: 'f32',
  eps: 'f32',
  keys: 'i32',
  values: 'i32',
  positions: 'i32',
  ropeRows: 'i32',
  slots: 'i32',
  blockTables: 'i32',
  blockTableStride: 'i32',
  rows: 'step',
} as const satisfies ArgKinds;

/** Numbers that are all smaller become 0 as bytes, for the inverse of their scale would not be finite. */
const LEAST_SCALED = 1e-30;

/** @param format  of the cache */
export function ropeAndCache(format: KvFormat) {
  const elementBytes = KV_ELEMENT_BYTES[format];
  const headerBytes = KV_PAGE_HEADER[format];
  return opKernel(`ropeAndCache ${format}`, ARGS, (frame, a) => {
    const [task, tasks, headsInAll, head, row, position, x, page, weight] = Array.from({ length: 9 }, () =>
      frame.i32(),
    );
    const [at, end, cos, sin, other, half] = Array.from({ length: 6 }, () => frame.i32());
    const [low, high] = [frame.f32(), frame.f32()];
    const scale = frame.f32();
    const [lowVector, highVector] = frame.v128s(2);
    const toHalf = emitToHalf(frame);

    const wordOf = (array: I32, index: I32) => i32.load({}, i32.add(array, i32.shl(index, 2)));

    /** x = x / sqrt(mean(x²) + eps) · weight over one head; the squares are summed in order. */
    const normHead = () => {
      local.set(scale, f32.const(0));
      local.set(end, i32.shl(a.headDim, 2));
      forRange(at, 0, end, 4, () => {
        local.set(low, f32.load({}, i32.add(x, at)));
        local.set(scale, f32.add(scale, f32.mul(low, low)));
      });
      f32.const(1);
      f32.sqrt(f32.add(f32.div(scale, a.headDimFloat), a.eps));
      local.set(scale, f32.div($, $));
      forRange(at, 0, end, 4, () => {
        i32.add(x, at);
        f32.mul(f32.load({}, i32.add(x, at)), scale);
        f32.load({}, i32.add(weight, at));
        f32.mul($, $);
        f32.store({}, $, $);
      });
    };

    const rotate = () => {
      local.set(half, i32.shl(a.rotaryDim, 1));
      i32.mul(wordOf(a.ropeRows, row), i32.shl(a.rotaryDim, 2));
      local.set(cos, i32.add($, a.rope));
      local.set(sin, i32.add(cos, half));
      local.set(other, i32.add(x, half));
      local.set(end, i32.and(half, -16));
      forRange(at, 0, end, 16, () => {
        local.set(lowVector, v128.load({}, i32.add(x, at)));
        local.set(highVector, v128.load({}, i32.add(other, at)));
        i32.add(x, at);
        f32x4.mul(lowVector, v128.load({}, i32.add(cos, at)));
        f32x4.mul(highVector, v128.load({}, i32.add(sin, at)));
        f32x4.sub($, $);
        v128.store({}, $, $);
        i32.add(other, at);
        f32x4.mul(highVector, v128.load({}, i32.add(cos, at)));
        f32x4.mul(lowVector, v128.load({}, i32.add(sin, at)));
        f32x4.add($, $);
        v128.store({}, $, $);
      });
      forRange(at, end, half, 4, () => {
        local.set(low, f32.load({}, i32.add(x, at)));
        local.set(high, f32.load({}, i32.add(other, at)));
        i32.add(x, at);
        f32.mul(low, f32.load({}, i32.add(cos, at)));
        f32.mul(high, f32.load({}, i32.add(sin, at)));
        f32.sub($, $);
        f32.store({}, $, $);
        i32.add(other, at);
        f32.mul(high, f32.load({}, i32.add(cos, at)));
        f32.mul(low, f32.load({}, i32.add(sin, at)));
        f32.add($, $);
        f32.store({}, $, $);
      });
    };

    /** page = (block · kvHeads + head) · bytes of a head's page: where it begins, from the start of the layer. */
    const findPage = () => {
      wordOf(a.slots, row);
      i32.mul($, a.blockTableStride);
      i32.add($, a.blockTables);
      i32.shl(i32.shr_u(position, Math.log2(KV_BLOCK_SIZE)), 2);
      i32.load({}, i32.add($, $));
      i32.mul($, a.kvHeads);
      i32.add($, head);
      i32.add(i32.mul(a.headDim, elementBytes * KV_BLOCK_SIZE), headerBytes);
      local.set(page, i32.mul($, $));
    };

    /** Stores the elements of a head at `page`, each `stride` bytes after the last. */
    const storeAll = (stride: number) => {
      local.set(end, i32.shl(a.headDim, 2));
      forRange(at, 0, end, 4, () => {
        local.set(low, f32.load({}, i32.add(x, at)));
        local.get(page);
        if (format === 'F32') {
          f32.store({ offset: headerBytes }, $, low);
        } else if (format === 'F16') {
          toHalf(low);
          i32.store16({ offset: headerBytes }, $, $);
        } else {
          f32.nearest(f32.mul(low, scale));
          i32.trunc_sat_f32_s($);
          i32.store8({ offset: headerBytes }, $, $);
        }
        increment(page, stride);
      });
    };

    /** For bytes: scale = 127 / max|x| of the head, or 0; its inverse is stored with the position in the page. */
    const storeScale = () => {
      if (format !== 'I8') return;
      local.set(high, f32.const(0));
      local.set(end, i32.shl(a.headDim, 2));
      forRange(at, 0, end, 4, () => local.set(high, f32.max(high, f32.abs(f32.load({}, i32.add(x, at))))));
      local.set(scale, f32.const(0));
      local.set(low, f32.const(0));
      f32.gt(high, f32.const(LEAST_SCALED));
      if_(null, () => {
        local.set(low, f32.div(high, f32.const(127)));
        local.set(scale, f32.div(f32.const(1), low));
      });
      i32.add(page, i32.shl(i32.and(position, KV_BLOCK_SIZE - 1), 2));
      f32.store({}, $, low);
    };

    const writeKey = () => {
      findPage();
      local.set(page, i32.add(page, a.keys));
      storeScale();
      local.get(page);
      i32.mul(i32.and(position, KV_BLOCK_SIZE - 1), elementBytes);
      local.set(page, i32.add($, $));
      storeAll(elementBytes * KV_BLOCK_SIZE);
    };

    const writeValue = () => {
      findPage();
      local.set(page, i32.add(page, a.values));
      storeScale();
      local.get(page);
      i32.mul(i32.mul(i32.and(position, KV_BLOCK_SIZE - 1), a.headDim), elementBytes);
      local.set(page, i32.add($, $));
      storeAll(elementBytes);
    };

    local.set(headsInAll, i32.add(a.heads, i32.shl(a.kvHeads, 1)));
    local.set(tasks, i32.mul(a.rows, headsInAll));
    forEachTask(task, tasks, () => {
      local.set(row, i32.div_u(task, headsInAll));
      local.set(head, i32.rem_u(task, headsInAll));
      local.set(position, wordOf(a.positions, row));
      i32.mul(row, a.stride);
      i32.shl(i32.mul(head, a.headDim), 2);
      i32.add($, $);
      local.set(x, i32.add($, a.qkv));

      i32.lt_u(head, a.heads);
      if_(
        null,
        () => {
          local.set(weight, a.qNorm);
          local.get(weight);
          if_(null, normHead);
          rotate();
        },
        () => {
          local.set(head, i32.sub(head, a.heads));
          i32.lt_u(head, a.kvHeads);
          if_(
            null,
            () => {
              local.set(weight, a.kNorm);
              local.get(weight);
              if_(null, normHead);
              rotate();
              writeKey();
            },
            () => {
              local.set(head, i32.sub(head, a.kvHeads));
              writeValue();
            },
          );
        },
      );
    });
  });
}
