/** Quantised safetensors checkpoints against the same model with the weights written out: tools' layouts, made here. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openHuggingFace } from '../../engine/checkpoint/hugging-face.ts';
import type { ModelSource } from '../../engine/checkpoint/model-source.ts';
import { loadModel } from '../../engine/load-model.ts';
import { type Device, floatToBfloat, floatToHalf, halfToFloat, ReferenceDevice } from '../../kernels/index.ts';
import { ModelTable } from '../model-table.ts';
import { Random } from '../random.ts';
import { DEVICES } from './devices.ts';
import { memorySource, safetensorsFile, tinyConfig, tinyShapes } from './memory-source.ts';
import { rejects } from './rejects.ts';

const test = suite('quantised checkpoints');

interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** What a tool writes for one matrix, and the values that it stands for. */
interface Written {
  readonly tensors: Readonly<Record<string, StoredTensor>>;
  readonly values: Float32Array;
}

type Tool = (name: string, rows: number, cols: number, random: Random) => Written;

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const i32 = (shape: readonly number[], values: Int32Array): StoredTensor => ({
  dtype: 'I32',
  shape,
  data: bytesOf(values),
});
const half = (x: number) => halfToFloat(floatToHalf(x));
const f16 = (shape: readonly number[], values: Float32Array): StoredTensor => ({
  dtype: 'F16',
  shape,
  data: bytesOf(Uint16Array.from(values, floatToHalf)),
});
const f32 = (shape: readonly number[], values: Float32Array): StoredTensor => ({
  dtype: 'F32',
  shape,
  data: bytesOf(values),
});

function integers(random: Random, length: number, below: number): number[] {
  return Array.from(random.floats(length), (x) => Math.min(below - 1, Math.floor(Math.abs(x) * below * 1.7) % below));
}

/** Codes and scales of a matrix whose groups have `size` columns. Scales are halves; `byGroup` has them as `[count, rows]`. */
function groups(random: Random, rows: number, cols: number, size: number, zeroPoints: boolean) {
  const count = cols / size;
  const codes = integers(random, rows * cols, 16);
  const scales = Float32Array.from(random.floats(rows * count), (x) => half(0.01 + Math.abs(x) / 40));
  const zeros = zeroPoints ? integers(random, rows * count, 15).map((z) => z + 1) : new Array(rows * count).fill(8);
  const byGroup = scales.map((_, i) => scales[(i % rows) * count + Math.floor(i / rows)]);
  return { count, codes, scales, zeros, byGroup };
}

function gptq({ size = 32, zeroPoints = false, ordered = false }): Tool {
  return (name, rows, cols, random) => {
    const { count, codes, scales, zeros, byGroup } = groups(random, rows, cols, size, zeroPoints);
    const order = Int32Array.from({ length: cols }, (_, i) => (ordered ? i % count : Math.floor(i / (cols / count))));
    const qweight = new Int32Array((cols / 8) * rows);
    const qzeros = new Int32Array(count * (rows / 8));
    const values = new Float32Array(rows * cols);
    for (let o = 0; o < rows; o++) {
      for (let i = 0; i < cols; i++) {
        qweight[(i >> 3) * rows + o] |= codes[o * cols + i] << (4 * (i & 7));
        const at = o * count + order[i];
        values[o * cols + i] = scales[at] * (codes[o * cols + i] - zeros[at]);
      }
      for (let g = 0; g < count; g++) qzeros[g * (rows / 8) + (o >> 3)] |= (zeros[o * count + g] - 1) << (4 * (o & 7));
    }
    return {
      values,
      tensors: {
        [`${name}.qweight`]: i32([cols / 8, rows], qweight),
        [`${name}.qzeros`]: i32([count, rows / 8], qzeros),
        [`${name}.scales`]: f16([count, rows], byGroup),
        [`${name}.g_idx`]: i32([cols], order),
      },
    };
  };
}

const awq: Tool = (name, rows, cols, random) => {
  const { count, codes, scales, zeros, byGroup } = groups(random, rows, cols, 32, true);
  const order = [0, 2, 4, 6, 1, 3, 5, 7];
  const qweight = new Int32Array(cols * (rows / 8));
  const qzeros = new Int32Array(count * (rows / 8));
  const values = new Float32Array(rows * cols);
  for (let word = 0; word < rows / 8; word++) {
    order.forEach((within, nibble) => {
      const o = 8 * word + within;
      for (let i = 0; i < cols; i++) {
        qweight[i * (rows / 8) + word] |= codes[o * cols + i] << (4 * nibble);
        const at = o * count + Math.floor(i / 32);
        values[o * cols + i] = scales[at] * (codes[o * cols + i] - (zeros[at] & 15));
      }
      for (let g = 0; g < count; g++) qzeros[g * (rows / 8) + word] |= (zeros[o * count + g] & 15) << (4 * nibble);
    });
  }
  return {
    values,
    tensors: {
      [`${name}.qweight`]: i32([cols, rows / 8], qweight),
      [`${name}.qzeros`]: i32([count, rows / 8], qzeros),
      [`${name}.scales`]: f16([count, rows], byGroup),
    },
  };
};

const packQuantized: Tool = (name, rows, cols, random) => {
  const { count, codes, scales } = groups(random, rows, cols, 32, false);
  const packed = new Int32Array((rows * cols) / 8);
  codes.forEach((code, i) => (packed[i >> 3] |= code << (4 * (i & 7))));
  const bf16 = Uint16Array.from(scales, floatToBfloat);
  const exact = Float32Array.from(bf16, (bits) => new Float32Array(Uint32Array.of(bits << 16).buffer)[0]);
  return {
    values: Float32Array.from(codes, (code, i) => exact[Math.floor(i / 32)] * (code - 8)),
    tensors: {
      [`${name}.weight_packed`]: i32([rows, cols / 8], packed),
      [`${name}.weight_scale`]: { dtype: 'BF16', shape: [rows, count], data: bytesOf(bf16) },
      [`${name}.weight_shape`]: {
        dtype: 'I64',
        shape: [2],
        data: bytesOf(BigInt64Array.of(BigInt(rows), BigInt(cols))),
      },
    },
  };
};

/** Values of all codes of F8_E4M3 by their definition; the two that are no numbers are avoided. */
const fp8 = (code: number) => {
  const exponent = (code >> 3) & 15;
  const magnitude = exponent === 0 ? (code & 7) / 8 / 64 : (1 + (code & 7) / 8) * 2 ** (exponent - 7);
  return code & 128 ? -magnitude : magnitude;
};

function float8(scaleOf: 'tensor' | 'row' | 'blocks'): Tool {
  return (name, rows, cols, random) => {
    const codes = Uint8Array.from(integers(random, rows * cols, 256), (code) => ((code & 127) === 127 ? 0 : code));
    const [shape, end] = {
      tensor: [[], 'weight_scale'] as const,
      row: [[rows, 1], 'weight_scale'] as const,
      blocks: [[Math.ceil(rows / 128), Math.ceil(cols / 128)], 'weight_scale_inv'] as const,
    }[scaleOf];
    const length = (shape as readonly number[]).reduce((a, b) => a * b, 1);
    const scales = Float32Array.from(random.floats(length), (x) => 2 ** -9 + Math.abs(x) / 2000);
    const at = (o: number, i: number) => {
      if (scaleOf === 'row') return o;
      return scaleOf === 'tensor' ? 0 : Math.floor(o / 128) * Math.ceil(cols / 128) + Math.floor(i / 128);
    };
    return {
      values: Float32Array.from(codes, (code, n) => fp8(code) * scales[at(Math.floor(n / cols), n % cols)]),
      tensors: {
        [`${name}.weight`]: { dtype: 'F8_E4M3', shape: [rows, cols], data: codes },
        [`${name}.${end}`]: f32(shape, scales),
      },
    };
  };
}

const int8: Tool = (name, rows, cols, random) => {
  const codes = Int8Array.from(integers(random, rows * cols, 255), (code) => code - 127);
  const scales = Float32Array.from(random.floats(rows), (x) => half(0.0005 + Math.abs(x) / 1000));
  return {
    values: Float32Array.from(codes, (code, n) => code * scales[Math.floor(n / cols)]),
    tensors: {
      [`${name}.weight`]: { dtype: 'I8', shape: [rows, cols], data: bytesOf(codes) },
      [`${name}.weight_scale`]: f32([rows, 1], scales),
    },
  };
};

const SHAPES = Object.fromEntries(
  Object.entries(tinyShapes()).map(([name, shape]) => [name, shape.map((n) => (n === 48 ? 160 : n))]),
);
const CONFIG = tinyConfig({ intermediate_size: 160 });

/** Two checkpoints: one as the tool writes it, one with the values that it stands for. */
function checkpoints(tool: Tool, quantization: object) {
  const random = new Random(21);
  const stored: Record<string, StoredTensor> = {};
  const plain: Record<string, StoredTensor> = {};
  for (const [name, shape] of Object.entries(SHAPES)) {
    const [rows, cols = 1] = shape;
    if (!name.includes('_proj.')) {
      stored[name] = plain[name] = f32(shape, random.floats(rows * cols));
      continue;
    }
    const { tensors, values } = tool(name.replace(/\.weight$/, ''), rows, cols, random);
    Object.assign(stored, tensors);
    plain[name] = f32(shape, values);
  }
  return {
    quantised: memorySource({
      'config.json': { ...CONFIG, quantization_config: quantization },
      'model.safetensors': fileOf(stored),
    }),
    plain: memorySource({ 'config.json': CONFIG, 'model.safetensors': fileOf(plain) }),
  };
}

function fileOf(tensors: Readonly<Record<string, StoredTensor>>): Uint8Array {
  const header: Record<string, object> = {};
  const data: Uint8Array[] = [];
  let end = 0;
  for (const [name, { dtype, shape, data: bytes }] of Object.entries(tensors)) {
    header[name] = { dtype, shape, data_offsets: [end, end + bytes.length] };
    end += bytes.length;
    data.push(bytes);
  }
  return safetensorsFile(header, new Uint8Array(Buffer.concat(data)));
}

async function logits(source: ModelSource, device: Device = new ReferenceDevice()): Promise<Float32Array> {
  const model = await loadModel(source, { device, maxNumSeqs: 1 });
  const tokens = [3, 17, 39, 0, 5];
  await model.forward({
    tokens,
    positions: [0, 1, 2, 3, 4],
    slots: [0, 0, 0, 0, 0],
    blockTables: [[0]],
    lengths: [5],
    logitRows: [4],
  });
  return model.logits(1).finally(() => model.close());
}

/** Share of the greatest logit that rounded activations may move one by, in so small a model. */
const ROUNDED_ACTIVATIONS = 0.05;

const gptqConfig = (changes: object) => ({ quant_method: 'gptq', bits: 4, group_size: 32, sym: true, ...changes });
const CASES: readonly [name: string, tool: Tool, config: object, format: string, tolerance: number][] = [
  ['GPTQ', gptq({}), gptqConfig({}), 'Q4_0', 1e-5],
  ['GPTQ in groups of 16', gptq({ size: 16 }), gptqConfig({ group_size: 16 }), 'F16', 1e-3],
  ['GPTQ with act-order', gptq({ ordered: true }), gptqConfig({ desc_act: true }), 'F16', 1e-3],
  ['GPTQ, not symmetric', gptq({ zeroPoints: true }), gptqConfig({ sym: false }), 'Q4_1', 2e-3],
  ['AWQ', awq, { quant_method: 'awq', bits: 4, group_size: 32, version: 'gemm' }, 'Q4_1', 2e-3],
  [
    'compressed-tensors int4',
    packQuantized,
    { quant_method: 'compressed-tensors', format: 'pack-quantized' },
    'Q4_0',
    1e-5,
  ],
  ['compressed-tensors int8', int8, { quant_method: 'compressed-tensors', format: 'int-quantized' }, 'Q8_0', 1e-5],
  ['FP8 with a scale for all', float8('tensor'), { quant_method: 'fp8' }, 'F16', 1e-3],
  [
    'FP8 with scales of rows',
    float8('row'),
    { quant_method: 'compressed-tensors', format: 'float-quantized' },
    'F16',
    1e-3,
  ],
  ['FP8 with scales of blocks', float8('blocks'), { quant_method: 'fp8', weight_block_size: [128, 128] }, 'F16', 1e-3],
];

const table = new ModelTable('Quantised safetensors', ['logits']);

for (const device of DEVICES) {
  for (const [name, tool, config, format, tolerance] of CASES) {
    test(`${name} on ${device.kind}: the model is that of the values written out`, async () => {
      const { quantised, plain } = checkpoints(tool, config);
      const { tensors } = await openHuggingFace(quantised).readModel();
      assert.is(tensors.tensors.get('model.layers.0.mlp.down_proj.weight')?.dtype, format);
      const [found, expected] = [await logits(quantised, await device.create()), await logits(plain)];
      const largest = Math.max(...expected.map(Math.abs));
      const worst = Math.max(...found.map((x, i) => Math.abs(x - expected[i]))) / largest;
      // Where weights stay in blocks, kernels round activations to 8 bits.
      const roundsToo = format !== 'F16' && device.kind !== 'reference';
      const allowed = roundsToo ? ROUNDED_ACTIVATIONS : tolerance;
      assert.ok(worst <= allowed, `${worst.toExponential(1)} of the greatest logit`);
      table.passed({ architecture: 'llama', model: 'made by the test', weights: name }, device.kind, 'logits');
    });
  }
}

test('says what ran', () => table.check());

test('what is not supported, or does not fit, is named in one line', async () => {
  const refuses = (config: object, message: RegExp, tool: Tool = gptq({})) =>
    rejects(() => logits(checkpoints(tool, config).quantised), message);
  await refuses(
    { quant_method: 'bitsandbytes' },
    /quantization_config.quant_method is "bitsandbytes"; expected one of fp8, gptq/,
  );
  await refuses(gptqConfig({ bits: 3 }), /quantization_config.bits is 3; expected 4/);
  await refuses(gptqConfig({ checkpoint_format: 'marlin' }), /checkpoint_format is "marlin"; expected gptq or gptq_v2/);
  await refuses(gptqConfig({ group_size: 8 }), /qzeros" has I32 \[1,\d+\]; expected I32 \[4,\d+\]/);
  await refuses({ quant_method: 'awq', bits: 4, version: 'gemv' }, /version is "gemv"; expected gemm/);
  await refuses(
    { quant_method: 'compressed-tensors', format: 'marlin-24' },
    /format is "marlin-24"; expected pack-quantized/,
  );
  await refuses(
    { quant_method: 'compressed-tensors', format: 'float-quantized' },
    /no tensor "model.layers.0.self_attn.q_proj.weight_scale", which its quantisation needs/,
    (...args) => ({ ...int8(...args), tensors: { [`${args[0]}.weight`]: int8(...args).tensors[`${args[0]}.weight`] } }),
  );
});

test.run();
