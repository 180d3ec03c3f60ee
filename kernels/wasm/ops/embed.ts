/**
 * out[r] = table[tokens[r]] · scale: reads one row back out of its weight panels (see `layout.ts`), one element after the
 * other; one task a token. Bound by the strided reads, which are few: hidden elements for each token.
 */

import { $, f32, i32, local } from 'wasmati';
import type { WeightFormat } from '../../formats.ts';
import { type F32, type Frame, forEachTask, forRange, type I32, increment, opKernel } from '../emit.ts';
import { BLOCK, PANEL_ROWS, SCALE_BYTES, UNIT_BYTES, ZERO_POINT } from '../layout.ts';

/** Reads the unit (of a panel row `lane`, 0 … 7) at an address and stores its elements through `store`. */
type Reader = (unit: I32, lane: I32, store: (element: number, value: () => void) => void) => void;

/** One op for each weight format. */
export function embed(format: WeightFormat) {
  const unitElements = format === 'Q8_0' || format === 'Q4_0' ? BLOCK : 1;
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
      const read = reader(format, frame);
      forEachTask(row, a.rows, () => {
        local.set(token, i32.load({}, i32.add(a.tokens, i32.shl(row, 2))));
        local.set(lane, i32.and(token, PANEL_ROWS - 1));
        i32.mul(i32.shr_u(token, Math.log2(PANEL_ROWS)), a.panelBytes);
        local.set(unit, i32.add($, a.table));
        local.set(out, i32.add(a.out, i32.mul(row, a.outStride)));
        local.set(end, i32.add(out, i32.shl(a.cols, 2)));
        forRange(out, out, end, 4 * unitElements, () => {
          read(unit, lane, (element, value) => {
            local.get(out);
            value();
            f32.mul($, a.scale);
            f32.store({ offset: 4 * element }, $, $);
          });
          increment(unit, UNIT_BYTES[format]);
        });
      });
    },
  );
}

function reader(format: WeightFormat, frame: Frame): Reader {
  switch (format) {
    case 'F32':
      return (unit, lane, store) => store(0, () => f32.load({}, i32.add(unit, i32.shl(lane, 2))));
    case 'F16':
      return (unit, lane, store) => store(0, () => widenHalf(() => halfAddress(unit, lane)));
    case 'BF16':
      return (unit, lane, store) =>
        store(0, () => {
          halfAddress(unit, lane);
          i32.load16_u({}, $);
          f32.reinterpret_i32(i32.shl($, 16));
        });
    case 'Q8_0':
    case 'Q4_0': {
      const codes = frame.i32();
      const scale = frame.f32();
      return (unit, lane, store) => {
        widenHalf(() => i32.add(unit, i32.shl(lane, 1)));
        local.set(scale, $);
        // Vector (lane / 4) of each pair, byte 4 · (lane mod 4) in it.
        i32.add(i32.shl(i32.shr_u(lane, 2), 4), i32.shl(i32.and(lane, 3), 2));
        local.set(codes, i32.add($, unit));
        for (let i = 0; i < BLOCK; i++) {
          store(i, () => {
            if (format === 'Q8_0') i32.load8_u({ offset: SCALE_BYTES + 32 * (i >> 2) + (i & 3) }, codes);
            else {
              i32.load8_u({ offset: SCALE_BYTES + 32 * (i >> 3) + (i & 3) }, codes);
              if (i & 4) i32.shr_u($, 4);
              else i32.and($, 15);
            }
            i32.sub($, ZERO_POINT[format]);
            f32.convert_i32_s($);
            f32.mul($, scale as F32);
          });
        }
      };
    }
  }
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
