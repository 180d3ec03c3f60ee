/**
 * Inner loops of `linear` for block-quantised weights and 8-bit activations. For each block of 32 columns:
 * sum += (Σ code·q − zeroPoint·Σq) · dWeight · dActivation, the bracket exact in 32-bit integers.
 *
 * x: blocks as `quantize-activations.ts` writes them. Panel: unsigned codes as in `layout.ts`, a vector holding four
 * columns of four weight rows, so that four activations, broadcast, meet four rows at once. Three ways to multiply,
 * which give the same bits:
 *
 * - `dot32`: `i32x4.relaxed_dot_i8x16_i7x16_add_s`, one instruction where the machine has VNNI or dot-product
 *   instructions. Codes of 8 bits are split into two 7-bit halves, min(c, 127) and the rest.
 * - `dot16`: `i16x8.relaxed_dot_i8x16_i7x16_s`, one instruction on any x86-64; 4-bit codes only, whose pair sums
 *   (at most 2·15·127) add up eight times in 16 bits without overflow.
 * - `wide`: activations of 16 bits, codes widened as they are loaded, `i32x4.dot_i16x8_s`. Plain SIMD.
 *
 * Relaxed dot products are exact on every machine here because the second operand never exceeds 7 bits and pair sums
 * never exceed 16.
 */

import { $, f32x4, i8x16, i16x8, i32x4, local, v128 } from 'wasmati';
import { type Frame, forRange, type I32, increment, type V128 } from '../emit.ts';
import { SCALE_BYTES, UNIT_BYTES } from '../layout.ts';
import { f32x4Const, i8x16Const, widenShiftedHalves } from '../vector-math.ts';
import type { TileLoop } from './linear.ts';
import { ACTIVATION_BLOCK_BYTES, activationOffsets, type CodeBits } from './quantize-activations.ts';

export type QuantizedFormat = 'Q8_0' | 'Q4_0';
export type DotMethod = 'dot32' | 'dot16' | 'wide';

/** Width of the activation codes that a method reads. */
export function codeBits(method: DotMethod): CodeBits {
  return method === 'wide' ? 16 : 8;
}

export function quantizedLoop(format: QuantizedFormat, method: DotMethod): TileLoop {
  if (format === 'Q8_0' && method === 'dot16') throw new Error('dot16 holds codes of at most 4 bits');
  const products = { dot32, dot16, wide }[method];
  const offsets = activationOffsets(codeBits(method));
  return {
    name: `${format} ${method}`,
    emit(frame, x, panel, units, sums) {
      const block = frame.i32();
      const scale = frame.v128();
      const emitProducts = products(frame, format, x, panel);
      forRange(block, 0, units, 1, () => {
        const exact = emitProducts();
        for (let group = 0; group < 2; group++) {
          v128.load64_zero({ offset: 8 * group }, panel);
          i32x4.shl(i32x4.extend_low_i16x8_s($), 13);
          widenShiftedHalves();
          local.set(scale, $);
          x.forEach((pointer, r) => {
            exact(r, group);
            v128.load32_splat({ offset: offsets.correction }, pointer);
            i32x4.add($, $);
            f32x4.convert_i32x4_s($);
            f32x4.mul($, scale);
            v128.load32_splat({ offset: offsets.scale }, pointer);
            f32x4.mul($, $);
            local.set(sums[2 * r + group], f32x4.add($, sums[2 * r + group]));
          });
        }
        for (const pointer of x) increment(pointer, ACTIVATION_BLOCK_BYTES[codeBits(method)]);
        increment(panel, UNIT_BYTES[format]);
      });
    },
  };
}

/**
 * Emits the products of one block into integer sums it keeps, and returns how to push Σ code·q of (row, group) as four
 * words.
 */
type Products = (
  frame: Frame,
  format: QuantizedFormat,
  x: readonly I32[],
  panel: I32,
) => () => (row: number, group: number) => void;

/** Calls `each` for the eight steps of four columns, with the codes of both groups in `codes`. */
function forEachStep(
  format: QuantizedFormat,
  panel: I32,
  codes: readonly V128[],
  nibbles: V128,
  each: (step: number) => void,
): void {
  for (let step = 0; step < 8; step++) {
    codes.forEach((code, group) => {
      if (format === 'Q8_0') {
        local.set(code, v128.load({ offset: SCALE_BYTES + 16 * (2 * step + group) }, panel));
        return;
      }
      v128.load({ offset: SCALE_BYTES + 16 * (2 * (step >> 1) + group) }, panel);
      if (step % 2 === 1) i16x8.shr_u($, 4);
      local.set(code, v128.and($, nibbles));
    });
    each(step);
  }
}

const dot32: Products = (frame, format, x, panel) => {
  const dots = frame.v128s(2 * x.length);
  const codes = frame.v128s(2);
  const rest = frame.v128s(2);
  const [activation, mask] = frame.v128s(2);
  local.set(mask, i8x16Const(format === 'Q8_0' ? 127 : 15));
  return () => {
    forEachStep(format, panel, codes, mask, (step) => {
      if (format === 'Q8_0') {
        codes.forEach((code, group) => {
          local.get(code);
          local.set(code, i8x16.min_u(code, mask));
          local.set(rest[group], i8x16.sub($, code));
        });
      }
      x.forEach((pointer, r) => {
        local.set(activation, v128.load32_splat({ offset: 4 * step }, pointer));
        codes.forEach((code, group) => {
          const sum = dots[2 * r + group];
          local.get(activation);
          local.get(code);
          if (step === 0) f32x4Const(0);
          else local.get(sum);
          i32x4.relaxed_dot_i8x16_i7x16_add_s($, $, $);
          local.set(sum, $);
          if (format === 'Q8_0') local.set(sum, i32x4.relaxed_dot_i8x16_i7x16_add_s(activation, rest[group], sum));
        });
      });
    });
    return (row, group) => local.get(dots[2 * row + group]);
  };
};

const dot16: Products = (frame, format, x, panel) => {
  const dots = frame.v128s(2 * x.length);
  const codes = frame.v128s(2);
  const [activation, mask] = frame.v128s(2);
  local.set(mask, i8x16Const(15));
  return () => {
    forEachStep(format, panel, codes, mask, (step) => {
      x.forEach((pointer, r) => {
        local.set(activation, v128.load32_splat({ offset: 4 * step }, pointer));
        codes.forEach((code, group) => {
          const sum = dots[2 * r + group];
          i16x8.relaxed_dot_i8x16_i7x16_s(activation, code);
          if (step > 0) i16x8.add($, sum);
          local.set(sum, $);
        });
      });
    });
    return (row, group) => i32x4.extadd_pairwise_i16x8_s(dots[2 * row + group]);
  };
};

/**
 * A widened vector holds two weight rows of four columns; its dot product with four activations gives two partial sums a
 * row, which are brought together at the end of the block. One group at a time, or the sums would not fit the registers.
 */
const wide: Products = (frame, format, x, panel) => {
  const halves = frame.v128s(2 * x.length);
  const [low, high, activation, mask] = frame.v128s(4);
  const [codes, codesLow, codesHigh] = frame.v128s(3);
  local.set(mask, i8x16Const(15));
  const groupProducts = (group: number) => {
    for (let step = 0; step < 8; step++) {
      if (format === 'Q8_0') {
        const offset = SCALE_BYTES + 16 * (2 * step + group);
        local.set(codesLow, v128.load8x8_u({ offset }, panel));
        local.set(codesHigh, v128.load8x8_u({ offset: offset + 8 }, panel));
      } else {
        v128.load({ offset: SCALE_BYTES + 16 * (2 * (step >> 1) + group) }, panel);
        if (step % 2 === 1) i16x8.shr_u($, 4);
        local.set(codes, v128.and($, mask));
        local.set(codesLow, i16x8.extend_low_i8x16_u(codes));
        local.set(codesHigh, i16x8.extend_high_i8x16_u(codes));
      }
      x.forEach((pointer, r) => {
        local.set(activation, v128.load64_splat({ offset: 8 * step }, pointer));
        [codesLow, codesHigh].forEach((code, half) => {
          const sum = halves[2 * r + half];
          i32x4.dot_i16x8_s(activation, code);
          if (step > 0) i32x4.add($, sum);
          local.set(sum, $);
        });
      });
    }
  };
  const EVEN = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27] as const;
  const ODD = EVEN.map((byte) => byte + 4);
  return () => {
    let current = -1;
    return (row, group) => {
      if (group !== current) {
        groupProducts(group);
        current = group;
      }
      local.set(low, halves[2 * row]);
      local.set(high, halves[2 * row + 1]);
      i8x16.shuffle([...EVEN] as Parameters<typeof i8x16.shuffle>[0], low, high);
      i8x16.shuffle(ODD as Parameters<typeof i8x16.shuffle>[0], low, high);
      return i32x4.add($, $);
    };
  };
};
