/**
 * The integer path of `linear` in plain code: what the wasm kernels compute for block-quantised weights, bit for bit.
 *
 * Activations are rounded to 8 bits in blocks of 32: d = max|x| / 127, q = round(x · (1 / d)), halves to even. Within a
 * block the products are summed exactly; blocks are added up in float32 in order:
 * sum += (Σ code·q · dWeight) · dActivation.
 */

import { DeviceError } from '../errors.ts';
import { blockShape, halfToFloat, type WeightFormat } from '../formats.ts';

const fround = Math.fround;
const BLOCK = 32;

/** One row of activations in 8 bits: `codes` `[cols]`, `scales` `[cols / 32]`. */
export interface QuantizedRow {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

export function quantizeActivationRow(x: Float32Array): QuantizedRow {
  const blocks = x.length / BLOCK;
  const codes = new Int8Array(x.length);
  const scales = new Float32Array(blocks);
  for (let b = 0; b < blocks; b++) {
    const block = x.subarray(b * BLOCK, (b + 1) * BLOCK);
    const max = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (max < fround(1e-30)) continue;
    scales[b] = max / 127;
    const inverse = fround(1 / scales[b]);
    block.forEach((value, i) => {
      codes[b * BLOCK + i] = roundToEven(fround(value * inverse));
    });
  }
  return { codes, scales };
}

/** x · weightᵀ for one row of x; `weight` holds rows of Q8_0 or Q4_0 blocks in file layout. */
export function linearQuantized(x: Float32Array, weight: Uint8Array, format: WeightFormat): Float32Array {
  const { bytes } = blockShape(format);
  const row = quantizeActivationRow(x);
  const blocks = x.length / BLOCK;
  const outs = weight.length / (blocks * bytes);
  const view = new DataView(weight.buffer, weight.byteOffset, weight.byteLength);
  return Float32Array.from({ length: outs }, (_, o) => {
    let sum = 0;
    for (let b = 0; b < blocks; b++) {
      const at = (o * blocks + b) * bytes;
      let exact = 0;
      for (let i = 0; i < BLOCK; i++) exact += codeOf(view, at, i, format) * row.codes[b * BLOCK + i];
      const scaled = fround(exact * halfToFloat(view.getUint16(at, true)));
      sum = fround(sum + fround(scaled * row.scales[b]));
    }
    return sum;
  });
}

function codeOf(view: DataView, at: number, i: number, format: WeightFormat): number {
  if (format === 'Q8_0') return view.getInt8(at + 2 + i);
  if (format === 'Q4_0') return ((view.getUint8(at + 2 + (i % 16)) >> (i < 16 ? 0 : 4)) & 15) - 8;
  throw new DeviceError(`linearQuantized: ${format} has no integer codes`);
}

export function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
