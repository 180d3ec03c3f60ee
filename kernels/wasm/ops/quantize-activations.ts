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
import { maxLanes } from '../vector-math.ts';

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
      const [max, inverse] = frame.v128s(2);
      const sums = frame.v128s(2);
      const corrections = [frame.i32(), frame.i32()];
      const scale = frame.f32();
      const reciprocal = frame.f32();

      const quantizeBlock = () => {
        values.forEach((value, i) => {
          local.set(value, v128.load({ offset: 16 * i }, x));
          f32x4.abs(value);
          if (i > 0) f32x4.max($, max);
          local.set(max, $);
        });
        maxLanes(scale, max);
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
        f32.store({ offset: offsets.scale }, out, scale);
        local.set(inverse, f32x4.splat(reciprocal));
        values.forEach((value, i) => {
          f32x4.nearest(f32x4.mul(value, inverse));
          local.set(value, i32x4.trunc_sat_f32x4_s($));
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
        sums.forEach((sum, half) => {
          i32.add(i32x4.extract_lane(0, sum), i32x4.extract_lane(1, sum));
          i32.add(i32x4.extract_lane(2, sum), i32x4.extract_lane(3, sum));
          i32.mul(i32.add($, $), a.zeroPoint);
          i32.const(-1);
          local.set(corrections[half], i32.mul($, $));
          i32.store({ offset: offsets.halves[half] }, out, corrections[half]);
        });
        i32.store({ offset: offsets.correction }, out, i32.add(corrections[0], corrections[1]));
      };

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
