/**
 * Rounds activations to 8 bits, block by block of 32: d = max|x| / 127, q = round(x / d), halves to even.
 *
 * x: f32 `[rows, stride]`. out, for each row and block: 32 codes (bytes or 16-bit words, as the kernels of the machine
 * want them), then d (f32), then −zeroPoint · Σq (i32) over the block and over each half of it, which takes the zero point
 * of unsigned weight codes out of the inner loops. A block without a number above {@link SMALLEST} becomes zero. A task is {@link STRETCH} blocks of a row.
 */

import { $, f32, f32x4, i8x16, i16x8, i32, i32x4, if_, local, v128 } from 'wasmati';
import { BLOCK } from '../block-forms.ts';
import { forEachTask, forRange, increment, opKernel } from '../emit.ts';
import { f32x4Const, i32x4Const, pickLanes, ROUNDING, rotateLanes } from '../vector-math.ts';

/** Blocks of one task. */
export const STRETCH = 16;

/** Below this 1/d could overflow. */
const SMALLEST = 1e-30;

/** Width of an activation code in memory. */
export type CodeBits = 8 | 16;

/** Bytes of one block: codes, scale, three corrections. */
export const ACTIVATION_BLOCK_BYTES: Readonly<Record<CodeBits, number>> = { 8: 48, 16: 80 };

/** Byte offsets in a block of activations. */
export function activationOffsets(bits: CodeBits) {
  const codes = (BLOCK * bits) / 8;
  return { scale: codes, correction: codes + 4, halves: [codes + 8, codes + 12] };
}

export function quantizeActivations(bits: CodeBits) {
  const offsets = activationOffsets(bits);
  return opKernel(
    `quantizeActivations ${bits}`,
    {
      x: 'i32',
      out: 'i32',
      xStride: 'i32',
      outStride: 'i32',
      blocks: 'i32',
      stretches: 'i32',
      zeroPoint: 'i32',
      rows: 'step',
    },
    (frame, a) => {
      const [task, tasks, row, block, end, x, out] = Array.from({ length: 7 }, () => frame.i32());
      const values = frame.v128s(8);
      const [magnitudes, max, inverse, whole] = frame.v128s(4);
      const sums = frame.v128s(2);
      const [magnitude, rounding, negativeZeroPoint] = frame.v128s(3);
      const scale = frame.f32();
      const reciprocal = frame.f32();

      /** max = the largest magnitude in every lane, compared as integers: what is no number is larger than all that are. */
      const findLargest = () => {
        values.forEach((value, i) => {
          local.set(value, v128.load({ offset: 16 * i }, x));
          local.set(magnitudes, v128.and(value, magnitude));
          if (i === 0) local.set(max, magnitudes);
          else local.set(max, i32x4.max_s(max, magnitudes));
        });
        for (const distance of [2, 1]) {
          rotateLanes(max, distance);
          local.set(max, i32x4.max_s($, max));
        }
        local.set(scale, f32x4.extract_lane(0, max));
      };

      /** The sums of both halves' codes times −zeroPoint, and of the whole block, behind the scale: one vector. */
      const storeScaleAndCorrections = () => {
        const [first, second] = sums;
        i32x4.add(pickLanes(first, second, [0, 2, 4, 6]), pickLanes(first, second, [1, 3, 5, 7]));
        local.set(first, $);
        // Sums of the first half in lanes 0 and 1, of the second in 2 and 3.
        pickLanes(first, first, [1, 0, 3, 2]);
        local.set(first, i32x4.mul(i32x4.add($, first), negativeZeroPoint));
        rotateLanes(first, 2);
        local.set(whole, i32x4.add($, first));
        local.get(out);
        f32x4.replace_lane(0, pickLanes(first, whole, [0, 4, 0, 2]), scale);
        v128.store({ offset: offsets.scale }, $, $);
      };

      const quantizeBlock = () => {
        findLargest();
        local.set(reciprocal, f32.const(0));
        f32.lt(scale, SMALLEST);
        if_(
          null,
          () => local.set(scale, f32.const(0)),
          () => {
            local.set(scale, f32.div(scale, f32.const(127)));
            f32.const(1);
            f32.div($, scale);
            local.set(reciprocal, $);
          },
        );
        local.set(inverse, f32x4.splat(reciprocal));
        values.forEach((value, i) => {
          // The low bits of the sum are the nearest integer.
          f32x4.add(f32x4.mul(value, inverse), rounding);
          local.set(value, i32x4.sub($, rounding));
          const sum = sums[i >> 2];
          if (i % 4 === 0) local.set(sum, value);
          else local.set(sum, i32x4.add(sum, value));
        });
        for (let i = 0; i < 8; i += 2) {
          local.set(values[i], i16x8.narrow_i32x4_s(values[i], values[i + 1]));
          if (bits === 16) v128.store({ offset: 8 * i }, out, values[i]);
        }
        if (bits === 8) {
          for (let i = 0; i < 8; i += 4) {
            local.get(out);
            i8x16.narrow_i16x8_s(values[i], values[i + 2]);
            v128.store({ offset: 4 * i }, $, $);
          }
        }
        storeScaleAndCorrections();
      };

      local.set(magnitude, i32x4Const(0x7fffffff));
      local.set(rounding, f32x4Const(ROUNDING));
      local.set(negativeZeroPoint, i32x4.neg(i32x4.splat(a.zeroPoint)));
      local.set(tasks, i32.mul(a.rows, a.stretches));
      forEachTask(task, tasks, () => {
        local.set(row, i32.div_u(task, a.stretches));
        local.set(block, i32.mul(i32.rem_u(task, a.stretches), STRETCH));
        local.set(end, i32.add(block, STRETCH));
        i32.gt_s(end, a.blocks);
        if_(null, () => local.set(end, a.blocks));
        i32.add(a.x, i32.mul(row, a.xStride));
        local.set(x, i32.add($, i32.mul(block, 4 * BLOCK)));
        i32.add(a.out, i32.mul(row, a.outStride));
        local.set(out, i32.add($, i32.mul(block, ACTIVATION_BLOCK_BYTES[bits])));
        forRange(block, block, end, 1, () => {
          quantizeBlock();
          increment(x, 4 * BLOCK);
          increment(out, ACTIVATION_BLOCK_BYTES[bits]);
        });
      });
    },
  );
}
