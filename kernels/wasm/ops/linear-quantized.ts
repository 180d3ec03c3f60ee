/**
 * Inner loops of `linear` for block-quantised weights and 8-bit activations. For each run of columns that shares a scale:
 * sum += (Σ code·q − zeroPoint·Σq) · scale · dActivation, or where there is a min
 * sum += (Σ code·q · scale + Σq · min) · dActivation; Σ exact in 32-bit integers.
 *
 * x: blocks as `quantize-activations.ts` writes them. Panel: unsigned codes as in `block-forms.ts`, a vector holding four
 * columns of four weight rows, so that four activations, broadcast, meet four rows at once. Four ways to multiply,
 * which give the same bits:
 *
 * - `bytes`: `i32x4.relaxed_dot_i8x16_i7x16_add_s` with codes of all 8 bits, where the machine is found to take its second
 *   operand as unsigned and not to saturate (VNNI).
 * - `dot32`: the same instruction within 7 bits, exact everywhere; codes of 8 bits are split into min(c, 127) and the
 *   rest. One machine instruction with VNNI or Arm's dot products, three elsewhere.
 * - `dot16`: `i16x8.relaxed_dot_i8x16_i7x16_s`, one instruction on any x86-64; codes below 16 only, whose pair sums
 *   (at most 2·15·127) add up eight times in 16 bits without overflow.
 * - `wide`: activations of 16 bits, codes widened as they are loaded, `i32x4.dot_i16x8_s`. Plain SIMD.
 */

import { $, f32x4, i8x16, i16x8, i32, i32x4, local, v128 } from 'wasmati';
import type { QuantizedWeightFormat } from '../../formats.ts';
import { BLOCK, BLOCK_FORMS, type BlockForm, type BlockLayout, blockLayout } from '../block-forms.ts';
import { type Frame, forRange, type I32, increment, type V128 } from '../emit.ts';
import { emitWidenShiftedHalves, i8x16Const, i32x4Const } from '../vector-math.ts';
import type { TileLoop } from './linear.ts';
import { ACTIVATION_BLOCK_BYTES, activationOffsets, type CodeBits } from './quantize-activations.ts';

export type DotMethod = 'bytes' | 'dot32' | 'dot16' | 'wide';

/** Width of the activation codes that a method reads. */
export function codeBits(method: DotMethod): CodeBits {
  return method === 'wide' ? 16 : 8;
}

export function quantizedLoop(format: QuantizedWeightFormat, method: DotMethod): TileLoop {
  const form = BLOCK_FORMS[format];
  if (form.limit > 16 && method === 'dot16') throw new Error('dot16 holds codes of at most 4 bits');
  const layout = blockLayout(form);
  const products = { bytes: dot32, dot32, dot16, wide }[method];
  const offsets = activationOffsets(codeBits(method));
  return {
    name: `${format} ${method}`,
    emit(frame, x, panel, units, sums) {
      const [end, unit, blockEnd] = [frame.i32(), frame.i32(), frame.i32()];
      const block: Block = { frame, form, layout, method, x, block: frame.i32() };
      const emitProducts = products(block);
      const loadFactors = factors(block, unit);
      const [scale, activationSum] = frame.v128s(2);
      local.set(end, i32.add(panel, i32.mul(units, layout.unitBytes)));

      const emitRun = (run: number) => {
        const exact = emitProducts(run);
        const { scales, mins } = loadFactors(run);
        x.forEach((pointer, r) => {
          local.set(scale, v128.load32_splat({ offset: offsets.scale }, pointer));
          if (form.min) {
            v128.load32_splat({ offset: offsets.correction }, pointer);
            local.set(activationSum, f32x4.convert_i32x4_s($));
          }
          for (const group of [0, 1]) {
            exact(r, group);
            f32x4.convert_i32x4_s($);
            f32x4.mul($, scales[group]);
            if (form.min) {
              f32x4.mul(activationSum, mins[group]);
              f32x4.add($, $);
            }
            f32x4.mul($, scale);
            local.set(sums[2 * r + group], f32x4.add($, sums[2 * r + group]));
          }
        });
      };
      const emitBlock = () => {
        for (let run = 0; run < BLOCK / form.scaleColumns; run++) emitRun(run);
        for (const pointer of x) increment(pointer, ACTIVATION_BLOCK_BYTES[codeBits(method)]);
      };
      if (layout.headerBytes === 0) {
        forRange(block.block, panel, end, layout.blockBytes, emitBlock);
        return;
      }
      forRange(unit, panel, end, layout.unitBytes, () => {
        local.set(block.block, i32.add(unit, layout.headerBytes));
        local.set(blockEnd, i32.add(unit, layout.unitBytes));
        forRange(block.block, block.block, blockEnd, layout.blockBytes, emitBlock);
      });
    },
  };
}

/** One block of a tile: `x` points at its activations, `block` at its weights. */
interface Block {
  readonly frame: Frame;
  readonly form: BlockForm;
  readonly layout: BlockLayout;
  readonly method: DotMethod;
  readonly x: readonly I32[];
  readonly block: I32;
}

/** Gives how to load the scales, and the mins if there are any, of both groups of rows for one run of columns. */
function factors({ frame, form, layout, block }: Block, unit: I32) {
  const scales = frame.v128s(2);
  const mins = frame.v128s(2);
  const bytes = frame.v128();
  const widen = form.scale === 'half' ? emitWidenShiftedHalves(frame) : () => {};

  const loadHalves = (offset: number, into: readonly V128[]) => {
    for (const group of [0, 1]) {
      v128.load64_zero({ offset: offset + 8 * group }, block);
      i32x4.shl(i32x4.extend_low_i16x8_s($), 13);
      widen();
      local.set(into[group], $);
    }
  };
  /** Each byte times the row's float at `header` of the super-block. */
  const loadBytes = (offset: number, header: number, into: readonly V128[]) => {
    const isSigned = form.scale === 'signed byte';
    local.set(bytes, v128[isSigned ? 'load8x8_s' : 'load8x8_u']({ offset }, block));
    for (const group of [0, 1]) {
      if (group === 0) i32x4.extend_low_i16x8_s(bytes);
      else i32x4.extend_high_i16x8_s(bytes);
      f32x4.convert_i32x4_s($);
      v128.load({ offset: header + 16 * group }, unit);
      local.set(into[group], f32x4.mul($, $));
    }
  };
  /** 2^(e − 128), the exponent put in place; where the result is subnormal (e below 2), half of the least normal one. */
  const loadExponents = () => {
    local.set(bytes, v128.load8x8_u({}, block));
    for (const group of [0, 1]) {
      if (group === 0) i32x4.extend_low_i16x8_s(bytes);
      else i32x4.extend_high_i16x8_s(bytes);
      i32x4Const(1);
      i32x4.sub($, $);
      i32x4Const(0);
      i32x4.max_s($, $);
      local.set(scales[group], i32x4.shl($, 23));
    }
  };
  return (run: number) => {
    if (form.scale === 'half') loadHalves(0, scales);
    else if (form.scale === 'exponent') loadExponents();
    else loadBytes(8 * run, 0, scales);
    if (form.min && form.scale === 'half') loadHalves(layout.mins, mins);
    else if (form.min) loadBytes(layout.mins, 32, mins);
    return { scales, mins };
  };
}

/**
 * Emits the products of one run of columns into integer sums it keeps, and returns how to push Σ code·q − zeroPoint·Σq
 * (without the zero point where there is a min) of (row, group) as four words.
 */
type Products = (block: Block) => (run: number) => (row: number, group: number) => void;

/** The steps of four columns that a run is made of. */
function stepsOf(form: BlockForm, run: number): number[] {
  const count = form.scaleColumns / 4;
  return Array.from({ length: count }, (_, i) => run * count + i);
}

/** Byte offset of −zeroPoint·Σq of a run in a block of activations; undefined where the form has mins. */
function correctionOf({ form, method }: Block, run: number): number | undefined {
  if (form.min) return undefined;
  const { correction, halves } = activationOffsets(codeBits(method));
  return form.scaleColumns === BLOCK ? correction : halves[run];
}

/** Gives how to push what the four-bit codes on the stack stand for. */
function lookUp({ frame, form }: Block): () => void {
  if (form.table === undefined) return () => {};
  const [table, nibbles] = frame.v128s(2);
  local.set(table, v128.const('i8x16', Array.from(form.table) as Parameters<typeof v128.const<'i8x16'>>[1]));
  return () => {
    local.set(nibbles, $);
    i8x16.swizzle(table, nibbles);
  };
}

/** Emits what goes before the steps of four columns, then each step with the codes of both groups in `codes`. */
function forEachStep(of: Block, codes: readonly V128[], each: (step: number, isFirst: boolean) => void) {
  const { frame, form, layout, block } = of;
  const nibbles = frame.v128();
  const bytes = frame.v128s(2);
  if (form.bits === 4) local.set(nibbles, i8x16Const(15));
  const meaning = lookUp(of);
  return (run: number) => {
    stepsOf(form, run).forEach((step, i) => {
      codes.forEach((code, group) => {
        if (form.bits === 8) {
          local.set(code, v128.load({ offset: layout.codes + 16 * (2 * step + group) }, block));
          return;
        }
        if (step % 2 === 0) {
          local.set(bytes[group], v128.load({ offset: layout.codes + 16 * (step + group) }, block));
          v128.and(bytes[group], nibbles);
        } else v128.and(i16x8.shr_u(bytes[group], 4), nibbles);
        meaning();
        local.set(code, $);
      });
      each(step, i === 0);
    });
  };
}

const dot32: Products = (block) => {
  const { frame, form, method, x } = block;
  const dots = frame.v128s(2 * x.length);
  const codes = frame.v128s(2);
  const rest = frame.v128s(2);
  const [activation, sevenBits] = frame.v128s(2);
  const split = form.limit > 128 && method === 'dot32';
  if (split) local.set(sevenBits, i8x16Const(127));
  let correction: number | undefined;
  const emitSteps = forEachStep(block, codes, (step, isFirst) => {
    if (split) {
      codes.forEach((code, group) => {
        local.get(code);
        local.set(code, i8x16.min_u(code, sevenBits));
        local.set(rest[group], i8x16.sub($, code));
      });
    }
    x.forEach((pointer, r) => {
      const rows = [dots[2 * r], dots[2 * r + 1]];
      if (isFirst) {
        if (correction === undefined) i32x4Const(0);
        else v128.load32_splat({ offset: correction }, pointer);
        local.set(rows[0], $);
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
  return (run) => {
    correction = correctionOf(block, run);
    emitSteps(run);
    return (row, group) => local.get(dots[2 * row + group]);
  };
};

const dot16: Products = (block) => {
  const { frame, x } = block;
  const dots = frame.v128s(2 * x.length);
  const codes = frame.v128s(2);
  const activation = frame.v128();
  const emitSteps = forEachStep(block, codes, (step, isFirst) => {
    x.forEach((pointer, r) => {
      local.set(activation, v128.load32_splat({ offset: 4 * step }, pointer));
      codes.forEach((code, group) => {
        const sum = dots[2 * r + group];
        i16x8.relaxed_dot_i8x16_i7x16_s(activation, code);
        if (!isFirst) i16x8.add($, sum);
        local.set(sum, $);
      });
    });
  });
  return (run) => {
    const correction = correctionOf(block, run);
    emitSteps(run);
    return (row, group) => {
      i32x4.extadd_pairwise_i16x8_s(dots[2 * row + group]);
      if (correction === undefined) return;
      v128.load32_splat({ offset: correction }, x[row]);
      i32x4.add($, $);
    };
  };
};

/**
 * A widened vector holds two weight rows of four columns; its dot product with four activations gives two partial sums a
 * row, which are brought together at the end of the run. One group after the other, or the sums would not fit the
 * registers.
 */
const wide: Products = (of) => {
  const { frame, form, layout, x, block } = of;
  const halves = frame.v128s(2 * x.length);
  const sums = frame.v128s(2 * x.length);
  const [activation, nibbles] = frame.v128s(2);
  const [codes, codesLow, codesHigh] = frame.v128s(3);
  if (form.bits === 4) local.set(nibbles, i8x16Const(15));
  const meaning = lookUp(of);
  const groupProducts = (run: number, group: number) => {
    stepsOf(form, run).forEach((step, i) => {
      if (form.bits === 8) {
        const offset = layout.codes + 16 * (2 * step + group);
        local.set(codesLow, v128.load8x8_u({ offset }, block));
        local.set(codesHigh, v128.load8x8_u({ offset: offset + 8 }, block));
      } else {
        v128.load({ offset: layout.codes + 16 * (2 * (step >> 1) + group) }, block);
        if (step % 2 === 1) i16x8.shr_u($, 4);
        v128.and($, nibbles);
        meaning();
        local.set(codes, $);
        local.set(codesLow, i16x8.extend_low_i8x16_u(codes));
        local.set(codesHigh, i16x8.extend_high_i8x16_u(codes));
      }
      x.forEach((pointer, r) => {
        local.set(activation, v128.load64_splat({ offset: 8 * step }, pointer));
        [codesLow, codesHigh].forEach((code, half) => {
          const sum = halves[2 * r + half];
          i32x4.dot_i16x8_s(activation, code);
          if (i > 0) i32x4.add($, sum);
          local.set(sum, $);
        });
      });
    });
  };
  const EVEN = [0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27];
  const ODD = EVEN.map((byte) => byte + 4);
  const shuffle = (lanes: number[], row: number) =>
    i8x16.shuffle(lanes as Parameters<typeof i8x16.shuffle>[0], halves[2 * row], halves[2 * row + 1]);
  return (run) => {
    const correction = correctionOf(of, run);
    for (const group of [0, 1]) {
      groupProducts(run, group);
      x.forEach((pointer, row) => {
        shuffle(EVEN, row);
        shuffle(ODD, row);
        i32x4.add($, $);
        if (correction !== undefined) {
          v128.load32_splat({ offset: correction }, pointer);
          i32x4.add($, $);
        }
        local.set(sums[2 * row + group], $);
      });
    }
    return (row, group) => local.get(sums[2 * row + group]);
  };
};
