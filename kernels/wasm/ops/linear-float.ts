/**
 * Inner loops of `linear` for float weights: sum += w · x, one product and one rounding after the other.
 *
 * x: f32. Panel: see `layout.ts`. Halves are widened exactly as they are read, once for each four rows of x. No fused
 * multiply-add: its result differs between machines.
 */

import { $, f32x4, i32x4, local, v128 } from 'wasmati';
import { type Frame, forRange, increment, type V128 } from '../emit.ts';
import { COLUMN_BYTES } from '../layout.ts';
import { emitWidenShiftedHalves, i32x4Const } from '../vector-math.ts';
import type { TileLoop } from './linear.ts';

/** Columns in one round of the loop; panels and tensors are padded to it. */
const UNROLL = 4;

export function floatLoop(format: 'F32' | 'F16' | 'BF16'): TileLoop {
  return {
    name: format,
    emit(frame, x, panel, units, sums) {
      const column = frame.i32();
      const weights = frame.v128s(2);
      const activation = frame.v128();
      const load = loadColumn(format, frame);
      forRange(column, 0, units, UNROLL, () => {
        for (let k = 0; k < UNROLL; k++) {
          load(k * COLUMN_BYTES[format], weights);
          x.forEach((pointer, r) => {
            local.set(activation, v128.load32_splat({ offset: 4 * k }, pointer));
            for (let group = 0; group < 2; group++) {
              const sum = sums[2 * r + group];
              local.set(sum, f32x4.add(sum, f32x4.mul(activation, weights[group])));
            }
          });
        }
        for (const pointer of x) increment(pointer, 4 * UNROLL);
        increment(panel, UNROLL * COLUMN_BYTES[format]);
      });

      function loadColumn(of: typeof format, scope: Frame): (offset: number, into: V128[]) => void {
        if (of === 'F32') {
          return (offset, into) => {
            into.forEach((weight, group) => local.set(weight, v128.load({ offset: offset + 16 * group }, panel)));
          };
        }
        const [halves, upper] = scope.v128s(2);
        local.set(upper, i32x4Const(0xffff0000));
        const widen = of === 'F16' ? emitWidenShiftedHalves(scope) : () => {};
        return (offset, into) => {
          local.set(halves, v128.load({ offset }, panel));
          if (of === 'BF16') {
            local.set(into[0], i32x4.shl(halves, 16));
            local.set(into[1], v128.and(halves, upper));
          } else {
            i32x4.shr_s(i32x4.shl(halves, 16), 3);
            widen();
            local.set(into[0], $);
            i32x4.shr_s(halves, 3);
            widen();
            local.set(into[1], $);
          }
        };
      }
    },
  };
}
