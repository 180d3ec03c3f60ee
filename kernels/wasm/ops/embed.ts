/**
 * out[r] = table[tokens[r]] · scale: reads one row back out of its weight panels (see `layout.ts`), one element after the
 * other; one task a token. Bound by the strided reads, which are few: hidden elements for each token.
 */

import { $, f32, i8x16, i32, if_, local, v128 } from 'wasmati';
import { type FloatFormat, isQuantized, type QuantizedWeightFormat, type WeightFormat } from '../../formats.ts';
import { BLOCK, BLOCK_FORMS, blockLayout } from '../block-forms.ts';
import { type F32, type Frame, forEachTask, forRange, type I32, increment, opKernel } from '../emit.ts';
import { COLUMN_BYTES, PANEL_ROWS } from '../layout.ts';

/** Walks along a panel, `columns` at a time; `unit` is where it is. */
interface Reader {
  readonly columns: number;
  /** Called once, at the first unit of a panel. */
  readonly begin?: (unit: I32) => void;
  /** Stores the elements of panel row `lane`, 0 … 7, through `store`. */
  readonly read: (unit: I32, lane: I32, store: (element: number, value: () => void) => void) => void;
  readonly advance: (unit: I32) => void;
}

/** One op for each weight format. */
export function embed(format: WeightFormat) {
  return opKernel(
    `embed ${format}`,
    {
      table: 'i32',
      panelBytes: 'i32',
      cols: 'i32',
      tokens: 'i32',
      out: 'i32',
      outStride: 'i32',
      scale: 'f32',
      rows: 'step',
    },
    (frame, a) => {
      const [row, token, lane, unit, out, end] = Array.from({ length: 6 }, () => frame.i32());
      const reader = isQuantized(format) ? blockReader(format, frame) : columnReader(format);
      forEachTask(row, a.rows, () => {
        local.set(token, i32.load({}, i32.add(a.tokens, i32.shl(row, 2))));
        local.set(lane, i32.and(token, PANEL_ROWS - 1));
        i32.mul(i32.shr_u(token, Math.log2(PANEL_ROWS)), a.panelBytes);
        local.set(unit, i32.add($, a.table));
        local.set(out, i32.add(a.out, i32.mul(row, a.outStride)));
        local.set(end, i32.add(out, i32.shl(a.cols, 2)));
        reader.begin?.(unit);
        forRange(out, out, end, 4 * reader.columns, () => {
          reader.read(unit, lane, (element, value) => {
            local.get(out);
            value();
            f32.mul($, a.scale);
            f32.store({ offset: 4 * element }, $, $);
          });
          reader.advance(unit);
        });
      });
    },
  );
}

function columnReader(format: FloatFormat): Reader {
  const load: Record<FloatFormat, (unit: I32, lane: I32) => void> = {
    F32: (unit, lane) => f32.load({}, i32.add(unit, i32.shl(lane, 2))),
    F16: (unit, lane) => widenHalf(() => halfAddress(unit, lane)),
    BF16: (unit, lane) => {
      halfAddress(unit, lane);
      i32.load16_u({}, $);
      f32.reinterpret_i32(i32.shl($, 16));
    },
  };
  return {
    columns: 1,
    read: (unit, lane, store) => store(0, () => load[format](unit, lane)),
    advance: (unit) => increment(unit, COLUMN_BYTES[format]),
  };
}

/** One row's part of a block or super-block: scale · (code − zeroPoint), or scale · code + min. */
function blockReader(format: QuantizedWeightFormat, frame: Frame): Reader {
  const form = BLOCK_FORMS[format];
  const layout = blockLayout(form);
  const [block, codes, exponent, code] = [frame.i32(), frame.i32(), frame.i32(), frame.i32()];
  const table = frame.v128();
  const [scale, min] = [frame.f32(), frame.f32()];

  const loadFactor = (into: F32, offset: number, header: number, unit: I32, lane: I32) => {
    if (form.scale === 'half') widenHalf(() => i32.add(i32.add(block, offset), i32.shl(lane, 1)));
    else if (form.scale === 'exponent') {
      // max(e − 1, 0) as the exponent, as in linear-quantized.ts.
      local.set(exponent, i32.sub(i32.load8_u({ offset }, i32.add(block, lane)), 1));
      i32.and(exponent, i32.xor(i32.shr_s(exponent, 31), -1));
      f32.reinterpret_i32(i32.shl($, 23));
    } else {
      const address = i32.add(block, lane);
      if (form.scale === 'byte') i32.load8_u({ offset }, address);
      else i32.load8_s({ offset }, address);
      f32.convert_i32_s($);
      f32.load({ offset: header }, i32.add(unit, i32.shl(lane, 2)));
      f32.mul($, $);
    }
    local.set(into, $);
  };
  const pushCode = (i: number) => {
    if (form.bits === 8) i32.load8_u({ offset: layout.codes + 32 * (i >> 2) + (i & 3) }, codes);
    else {
      i32.load8_u({ offset: layout.codes + 32 * (i >> 3) + (i & 3) }, codes);
      if (i & 4) i32.shr_u($, 4);
      else i32.and($, 15);
    }
    if (form.table === undefined) return;
    local.set(code, $);
    i8x16.swizzle(table, i8x16.splat(code));
    i8x16.extract_lane_u(0, $);
  };
  if (form.table)
    local.set(table, v128.const('i8x16', Array.from(form.table) as Parameters<typeof v128.const<'i8x16'>>[1]));
  const toFirstBlock = (unit: I32) => local.set(block, i32.add(unit, layout.headerBytes));
  return {
    columns: BLOCK,
    begin: toFirstBlock,
    read: (unit, lane, store) => {
      // Vector (lane / 4) of each pair, byte 4 · (lane mod 4) in it.
      i32.add(i32.shl(i32.shr_u(lane, 2), 4), i32.shl(i32.and(lane, 3), 2));
      local.set(codes, i32.add($, block));
      if (form.min) loadFactor(min, layout.mins, 32, unit, lane);
      for (let i = 0; i < BLOCK; i++) {
        if (i % form.scaleColumns === 0) loadFactor(scale, 8 * (i / form.scaleColumns), 0, unit, lane);
        store(i, () => {
          pushCode(i);
          i32.sub($, form.zeroPoint);
          f32.convert_i32_s($);
          f32.mul($, scale);
          if (form.min) f32.add($, min);
        });
      }
    },
    advance: (unit) => {
      increment(block, layout.blockBytes);
      i32.eq(block, i32.add(unit, layout.unitBytes));
      if_(null, () => {
        local.set(unit, block);
        toFirstBlock(unit);
      });
    },
  };
}

/** Halves of a column lie in the order of rows 0 4 1 5 2 6 3 7. */
function halfAddress(unit: I32, lane: I32) {
  i32.shl(i32.and(lane, 3), 2);
  i32.shl(i32.shr_u(lane, 2), 1);
  i32.add($, $);
  return i32.add($, unit);
}

function widenHalf(address: () => unknown): void {
  address();
  i32.load16_s({}, $);
  i32.shl($, 13);
  i32.and($, 0x8fffe000 | 0);
  f32.reinterpret_i32($);
  f32.mul($, 2 ** 112);
}
