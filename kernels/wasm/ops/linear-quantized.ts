/**
 * Inner loops of `linear` for block-quantised weights and 8-bit activations. For each block of 32 columns:
 * sum += (Σ code·q − zeroPoint·Σq) · dWeight · dActivation, the bracket exact in 32-bit integers.
 *
 * x: blocks as `quantize-activations.ts` writes them. Panel: unsigned codes as in `layout.ts`, a vector holding four
 * columns of four weight rows, so that four activations, broadcast, meet four rows at once. Four ways to multiply,
 * which give the same bits:
 *
 * - `bytes`: `i32x4.relaxed_dot_i8x16_i7x16_add_s` with codes of all 8 bits, where the machine is found to take its second
 *   operand as unsigned and not to saturate (VNNI).
 * - `dot32`: the same instruction within 7 bits, exact everywhere; codes of 8 bits are split into min(c, 127) and the
 *   rest. One machine instruction with VNNI or Arm's dot products, three elsewhere.
 * - `dot16`: `i16x8.relaxed_dot_i8x16_i7x16_s`, one instruction on any x86-64; 4-bit codes only, whose pair sums
 *   (at most 2·15·127) add up eight times in 16 bits without overflow.
 * - `wide`: activations of 16 bits, codes widened as they are loaded, `i32x4.dot_i16x8_s`. Plain SIMD.
 */

import { $, f32x4, i8x16, i16x8, i32, i32x4, local, v128 } from 'wasmati';
import { type Frame, forRange, type I32, increment, type V128 } from '../emit.ts';
import { SCALE_BYTES, UNIT_BYTES } from '../layout.ts';
import { i8x16Const, widenShiftedHalves } from '../vector-math.ts';
import type { TileLoop } from './linear.ts';
import { ACTIVATION_BLOCK_BYTES, activationOffsets, type CodeBits } from './quantize-activations.ts';

export type QuantizedFormat = 'Q8_0' | 'Q4_0';
export type DotMethod = 'bytes' | 'dot32' | 'dot16' | 'wide';

/** Width of the activation codes that a method reads. */
export function codeBits(method: DotMethod): CodeBits {
  return method === 'wide' ? 16 : 8;
}

export function quantizedLoop(format: QuantizedFormat, method: DotMethod): TileLoop {
  if (format === 'Q8_0' && method === 'dot16') throw new Error('dot16 holds codes of at most 4 bits');
  const products = { bytes: dot32, dot32, dot16, wide }[method];
  const offsets = activationOffsets(codeBits(method));
  return {
    name: `${format} ${method}`,
    emit(frame, x, panel, units, sums) {
      const end = frame.i32();
      const scales = frame.v128s(2);
      const scale = frame.v128();
      const block: Block = { frame, format, method, x, panel, correction: offsets.correction };
      const emitProducts = products(block);
      local.set(end, i32.add(panel, i32.mul(units, UNIT_BYTES[format])));
      forRange(panel, panel, end, UNIT_BYTES[format], () => {
        const exact = emitProducts();
        for (const group of [0, 1]) {
          v128.load64_zero({ offset: 8 * group }, panel);
          i32x4.shl(i32x4.extend_low_i16x8_s($), 13);
          widenShiftedHalves();
          local.set(scales[group], $);
        }
        x.forEach((pointer, r) => {
          local.set(scale, v128.load32_splat({ offset: offsets.scale }, pointer));
          for (const group of [0, 1]) {
            exact(r, group);
            f32x4.convert_i32x4_s($);
            f32x4.mul($, scales[group]);
            f32x4.mul($, scale);
            local.set(sums[2 * r + group], f32x4.add($, sums[2 * r + group]));
          }
        });
        for (const pointer of x) increment(pointer, ACTIVATION_BLOCK_BYTES[codeBits(method)]);
      });
    },
  };
}

/** One block of a tile: `x` points at its activations, `panel` at its weights. */
interface Block {
  readonly frame: Frame;
  readonly format: QuantizedFormat;
  readonly method: DotMethod;
  readonly x: readonly I32[];
  readonly panel: I32;
  /** Byte offset of −zeroPoint·Σq in a block of activations. */
  readonly correction: number;
}

/**
 * Emits the products of one block into integer sums it keeps, and returns how to push Σ code·q − zeroPoint·Σq of
 * (row, group) as four words.
 */
type Products = (block: Block) => () => (row: number, group: number) => void;

/** Emits what goes before the eight steps of four columns, then each step with the codes of both groups in `codes`. */
function forEachStep({ frame, format, panel }: Block, codes: readonly V128[], each: (step: number) => void) {
  const nibbles = frame.v128();
  const bytes = frame.v128s(2);
  local.set(nibbles, i8x16Const(15));
  return () => {
    for (let step = 0; step < 8; step++) {
      codes.forEach((code, group) => {
        if (format === 'Q8_0') {
          local.set(code, v128.load({ offset: SCALE_BYTES + 16 * (2 * step + group) }, panel));
        } else if (step % 2 === 0) {
          local.set(bytes[group], v128.load({ offset: SCALE_BYTES + 16 * (step + group) }, panel));
          local.set(code, v128.and(bytes[group], nibbles));
        } else {
          local.set(code, v128.and(i16x8.shr_u(bytes[group], 4), nibbles));
        }
      });
      each(step);
    }
  };
}

const dot32: Products = (block) => {
  const { frame, format, method, x, correction } = block;
  const dots = frame.v128s(2 * x.length);
  const codes = frame.v128s(2);
  const rest = frame.v128s(2);
  const [activation, sevenBits] = frame.v128s(2);
  const split = format === 'Q8_0' && method === 'dot32';
  if (split) local.set(sevenBits, i8x16Const(127));
  const emitSteps = forEachStep(block, codes, (step) => {
    if (split) {
      codes.forEach((code, group) => {
        local.get(code);
        local.set(code, i8x16.min_u(code, sevenBits));
        local.set(rest[group], i8x16.sub($, code));
      });
    }
    x.forEach((pointer, r) => {
      const rows = [dots[2 * r], dots[2 * r + 1]];
      if (step === 0) {
        local.set(rows[0], v128.load32_splat({ offset: correction }, pointer));
        local.set(rows[1], rows[0]);
      }
      local.set(activation, v128.load32_splat({ offset: 4 * step }, pointer));
      codes.forEach((code, group) => {
        const sum = rows[group];
        local.set(sum, i32x4.relaxed_dot_i8x16_i7x16_add_s(activation, code, sum));
        if (split) local.set(sum, i32x4.relaxed_dot_i8x16_i7x16_add_s(activation, rest[group], sum));
      });
    });
  });
  return () => {
    emitSteps();
    return (row, group) => local.get(dots[2 * row + group]);
  };
};

const dot16: Products = (block) => {
  const { frame, x, correction } = block;
  const dots = frame.v128s(2 * x.length);
  const codes = frame.v128s(2);
  const activation = frame.v128();
  const emitSteps = forEachStep(block, codes, (step) => {
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
  return () => {
    emitSteps();
    return (row, group) => {
      i32x4.extadd_pairwise_i16x8_s(dots[2 * row + group]);
      v128.load32_splat({ offset: correction }, x[row]);
      return i32x4.add($, $);
    };
  };
};

/**
 * A widened vector holds two weight rows of four columns; its dot product with four activations gives two partial sums a
 * row, which are brought together at the end of the block. One group after the other, or the sums would not fit the
 * registers.
 */
const wide: Products = ({ frame, format, x, panel, correction }) => {
  const halves = frame.v128s(2 * x.length);
  const sums = frame.v128s(2 * x.length);
  const [activation, nibbles] = frame.v128s(2);
  const [codes, codesLow, codesHigh] = frame.v128s(3);
  local.set(nibbles, i8x16Const(15));
  const groupProducts = (group: number) => {
    for (let step = 0; step < 8; step++) {
      if (format === 'Q8_0') {
        const offset = SCALE_BYTES + 16 * (2 * step + group);
        local.set(codesLow, v128.load8x8_u({ offset }, panel));
        local.set(codesHigh, v128.load8x8_u({ offset: offset + 8 }, panel));
      } else {
        v128.load({ offset: SCALE_BYTES + 16 * (2 * (step >> 1) + group) }, panel);
        if (step % 2 === 1) i16x8.shr_u($, 4);
        local.set(codes, v128.and($, nibbles));
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
  const EVEN = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
  const ODD = EVEN.map((byte) => byte + 4);
  const shuffle = (lanes: number[], row: number) =>
    i8x16.shuffle(lanes as Parameters<typeof i8x16.shuffle>[0], halves[2 * row], halves[2 * row + 1]);
  return () => {
    for (const group of [0, 1]) {
      groupProducts(group);
      x.forEach((pointer, row) => {
        shuffle(EVEN, row);
        shuffle(ODD, row);
        i32x4.add($, $);
        v128.load32_splat({ offset: correction }, pointer);
        local.set(sums[2 * row + group], i32x4.add($, $));
      });
    }
    return (row, group) => local.get(sums[2 * row + group]);
  };
};
