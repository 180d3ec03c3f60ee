import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  convert,
  dequantize,
  FILE_FORMATS,
  type FileFormat,
  floatToBfloat,
  floatToHalf,
  halfToFloat,
  quantize,
  rowBytes,
  type WeightFormat,
} from '../../kernels/index.ts';
import { Random } from '../random.ts';
import { sameBits } from './harness.ts';

interface QuantRows {
  rows: { file: string; tensor: string; type: string; row: number; f32: string }[];
  blocks: { type: string; bytes: string; f32: string }[];
}

const oracle = new URL('../oracle/models/llama-q256/', import.meta.url);
const { rows, blocks } = JSON.parse(readFileSync(new URL('quant_rows.json', oracle), 'utf8')) as QuantRows;
const known = (type: string): type is FileFormat => (FILE_FORMATS as readonly string[]).includes(type);

function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'));
  return new Float32Array(bytes.buffer);
}

/** A row of a float16 tensor of the checkpoint, widened. */
function checkpointRow(name: string, row: number, cols: number): Float32Array {
  const file = readFileSync(new URL('model.safetensors', oracle));
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString('utf8', 8, 8 + headerBytes));
  const at = 8 + headerBytes + header[name].data_offsets[0] + row * cols * 2;
  return dequantize('F16', new Uint8Array(file.subarray(at, at + 2 * cols)));
}

/** GGUF's names of tensors whose rows lie as in the checkpoint, and those there. */
const CHECKPOINT_NAMES: Record<string, string> = {
  'token_embd.weight': 'model.embed_tokens.weight',
  'blk.0.ffn_down.weight': 'model.layers.0.mlp.down_proj.weight',
  'blk.0.ffn_up.weight': 'model.layers.0.mlp.up_proj.weight',
  'blk.0.ffn_gate.weight': 'model.layers.0.mlp.gate_proj.weight',
  'blk.0.attn_v.weight': 'model.layers.0.self_attn.v_proj.weight',
  'blk.0.attn_output.weight': 'model.layers.0.self_attn.o_proj.weight',
};

const test = suite('formats');

test('blocks of random bytes mean what the oracle says, bit for bit', () => {
  const types = new Set<string>();
  for (const { type, bytes, f32 } of blocks.filter((block) => known(block.type))) {
    types.add(type);
    const got = dequantize(type as FileFormat, Uint8Array.from(Buffer.from(bytes, 'base64')));
    assert.ok(sameBits(got, floats(f32)), `${type} block`);
  }
  assert.equal([...types].sort(), FILE_FORMATS.filter((type) => type !== 'F32' && type !== 'F16').sort());
});

test('quantising a row of the float16 checkpoint gives what the GGUF file holds', () => {
  let compared = 0;
  for (const { file, tensor, type, row, f32 } of rows) {
    if ((type !== 'Q4_0' && type !== 'Q8_0') || !CHECKPOINT_NAMES[tensor] || !/q4_0|q8_0/.test(file)) continue;
    const expected = floats(f32);
    const source = checkpointRow(CHECKPOINT_NAMES[tensor], row, expected.length);
    assert.ok(sameBits(dequantize(type, quantize(type, source)), expected), `${file} ${tensor} row ${row}`);
    compared++;
  }
  assert.ok(compared >= 2, `${compared} rows compared`);
});

test('what is recoded into wider codes keeps every value', () => {
  for (const [from, to] of [
    ['Q5_0', 'Q8_0'],
    ['IQ4_NL', 'Q8_0'],
    ['Q3_K', 'Q6_K'],
  ] as const) {
    const same = blocks.filter(({ type }) => type === from);
    for (const { bytes, f32 } of same) {
      const recoded = convert(from, to, Uint8Array.from(Buffer.from(bytes, 'base64')));
      assert.ok(sameBits(dequantize(to, recoded), floats(f32)), `${from} as ${to}`);
    }
    assert.ok(same.length > 0, from);
  }
});

test('every half survives the way through float32, and rounding picks the nearest', () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = halfToFloat(bits);
    if (!Number.isNaN(value)) assert.is(floatToHalf(value), bits);
  }
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: -65000, max: 65000 }), (x) => {
      const error = Math.abs(halfToFloat(floatToHalf(x)) - x);
      assert.ok(error <= Math.max(Math.abs(x) * 2 ** -11, 2 ** -25), `${x}`);
    }),
  );
  assert.is(halfToFloat(floatToHalf(1e6)), Number.POSITIVE_INFINITY);
  assert.ok(Number.isNaN(halfToFloat(floatToHalf(Number.NaN))));
});

test('bfloat16 rounds to even and keeps NaN', () => {
  const wide = (x: number) => dequantize('BF16', Uint8Array.of(floatToBfloat(x) & 255, floatToBfloat(x) >> 8))[0];
  assert.is(wide(1 + 2 ** -8), 1);
  assert.is(wide(1 + 3 * 2 ** -8), 1 + 2 ** -6);
  assert.ok(Number.isNaN(wide(Number.NaN)));
});

test('quantised values stay within half a step of the original', () => {
  // Q4_0 has a code less on one side: the element opposite to the extreme may be a whole step off.
  const errors = { Q8_0: 0.5 / 127, Q4_0: 1 / 8 };
  for (const format of ['Q8_0', 'Q4_0'] as const) {
    fc.assert(
      fc.property(
        fc.array(fc.float({ noNaN: true, min: -100, max: 100 }), { minLength: 32, maxLength: 32 }),
        (block) => {
          const x = Float32Array.from(block);
          const largest = Math.max(...block.map(Math.abs));
          const back = dequantize(format, quantize(format, x));
          // The scale is rounded to a half, which below 2^-25 is zero.
          const allowed = largest * (errors[format] + 2 ** -11) + 127 * 2 ** -25;
          for (let i = 0; i < 32; i++) assert.ok(Math.abs(back[i] - x[i]) <= allowed, `${x[i]} became ${back[i]}`);
        },
      ),
    );
  }
});

/** Mean of squared differences. */
function error(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0) / a.length;
}

test('formats of more bits come closer, and all beat a coarse rounding', () => {
  const random = new Random(3);
  const x = random.floats(64 * 256).map((value, i) => value + random.floats(1)[0] * (i % 7 === 0 ? 2 : 0.2));
  const errorOf = (format: WeightFormat) => error(dequantize(format, quantize(format, x)), x);
  const order: WeightFormat[] = ['Q8_0', 'Q6_K', 'Q5_K', 'Q4_K', 'Q4_0', 'MXFP4'];
  const errors = order.map(errorOf);
  for (let i = 1; i < order.length; i++) assert.ok(errors[i - 1] < errors[i], `${order[i - 1]} before ${order[i]}`);
  assert.ok(errorOf('Q5_1') < errorOf('Q4_1') && errorOf('Q4_1') < errors[5] && errorOf('IQ4_NL') < errors[5]);
});

test('rows rounded to K formats are as close to the checkpoint as those of the GGUF files', () => {
  let compared = 0;
  for (const { tensor, type, row, f32 } of rows) {
    if ((type !== 'Q4_K' && type !== 'Q5_K' && type !== 'Q6_K' && type !== 'Q4_1') || !CHECKPOINT_NAMES[tensor])
      continue;
    const theirs = floats(f32);
    const source = checkpointRow(CHECKPOINT_NAMES[tensor], row, theirs.length);
    const ours = dequantize(type, quantize(type, source));
    assert.ok(error(ours, source) <= 1.15 * error(theirs, source), `${type} ${tensor} row ${row}`);
    compared++;
  }
  assert.ok(compared >= 4, `${compared} rows compared`);
});

test('a row that is not whole blocks is refused', () => {
  assert.throws(() => rowBytes('Q4_0', 33), /multiple of 32 elements; this row has 33/);
  assert.throws(() => dequantize('Q8_0', new Uint8Array(33)), /multiple of 34 bytes; got 33/);
});

test.run();
