/**
 * What the WASM engine can do, found by trying it: whether relaxed SIMD is there, computes rightly, and which dot product
 * is the fast one.
 */

import { $, i16x8, i32, i32x4, v128 } from 'wasmati';
import type { QuantizedWeightFormat } from '../formats.ts';
import { BLOCK_FORMS } from './block-forms.ts';
import { routine } from './emit.ts';
import { memoryImport, moduleBytes } from './module-bytes.ts';
import type { DotMethod } from './ops/linear-quantized.ts';

export interface DotMethods {
  readonly Q8_0: Exclude<DotMethod, 'dot16'>;
  readonly Q4_0: DotMethod;
}

/** How a format is multiplied, by how large its codes are: like Q4_0 up to 4 bits, like Q8_0 beyond 7. */
export function methodFor(format: QuantizedWeightFormat, methods: DotMethods): DotMethod {
  const { limit } = BLOCK_FORMS[format];
  if (limit > 128) return methods.Q8_0;
  return limit > 16 && methods.Q4_0 === 'dot16' ? 'dot32' : methods.Q4_0;
}

const PLAIN: DotMethods = { Q8_0: 'wide', Q4_0: 'wide' };

/**
 * Chooses how quantised weights are multiplied. All choices give the same bits; they differ in speed alone.
 * An engine whose relaxed dot products are missing or wrong (Node 20 behind its flag) gets plain SIMD.
 */
export function chooseDotMethods(): DotMethods {
  const dots = probeRelaxedDots();
  if (!dots) return PLAIN;
  const exact = (q: number, code: number) =>
    dots.words(q, code) === 4 * q * code && dots.halves(q, code) === 2 * q * code;
  const inRange = [-127, -1, 0, 1, 127].every((q) => [0, 1, 15, 127].every((code) => exact(q, code)));
  if (!inRange) return PLAIN;
  // Beyond 7 bits the instruction behind it shows; the specification lets it differ between machines, not within one.
  // vpdpbusd is exact for all bytes. pmaddubsw saturates at 16 bits, and the 32-bit form costs three instructions there.
  const allBytes = [-127, -1, 1, 127].every((q) =>
    [128, 200, 254].every((code) => dots.words(q, code) === 4 * q * code),
  );
  if (allBytes) return { Q8_0: 'bytes', Q4_0: 'dot32' };
  const saturated = 2 * 32767;
  return dots.words(127, 255) === saturated ? { Q8_0: 'wide', Q4_0: 'dot16' } : { Q8_0: 'dot32', Q4_0: 'dot32' };
}

interface RelaxedDots {
  /** A lane of `i32x4.relaxed_dot_i8x16_i7x16_add_s` of equal operands, with 0 added: 4·q·code when exact. */
  words(q: number, code: number): number;
  /** A lane of `i16x8.relaxed_dot_i8x16_i7x16_s`: 2·q·code when exact. */
  halves(q: number, code: number): number;
}

function probeRelaxedDots(): RelaxedDots | null {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const bytes = new Int8Array(memory.buffer);
  // Operands are 16 bytes at 0 and 16; results go to 32.
  const words = routine(0, () => {
    i32.const(32);
    v128.load({}, i32.const(0));
    v128.load({}, i32.const(16));
    v128.const('i32x4', [0, 0, 0, 0]);
    i32x4.relaxed_dot_i8x16_i7x16_add_s($, $, $);
    v128.store({}, $, $);
  });
  const halves = routine(0, () => {
    i32.const(32);
    v128.load({}, i32.const(0));
    v128.load({}, i32.const(16));
    i16x8.relaxed_dot_i8x16_i7x16_s($, $);
    v128.store({}, $, $);
  });
  const code = moduleBytes({ words, halves });
  if (!WebAssembly.validate(code)) return null;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(code), memoryImport(memory));
  const lane = (name: string, q: number, operand: number): DataView => {
    bytes.fill(q, 0, 16);
    bytes.fill(operand, 16, 32);
    (exports[name] as () => void)();
    return new DataView(memory.buffer);
  };
  return {
    words: (q, operand) => lane('words', q, operand).getInt32(32, true),
    halves: (q, operand) => lane('halves', q, operand).getInt16(32, true),
  };
}
