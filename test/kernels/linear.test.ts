import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { convert, isQuantized, quantize, rowBytes, WEIGHT_FORMATS, type WeightFormat } from '../../kernels/index.ts';
import { linear } from '../../kernels/reference/ops.ts';
import { linearQuantized } from '../../kernels/reference/quantized-linear.ts';
import { Random } from '../random.ts';
import {
  kernelDevices,
  maxDifference,
  openBench,
  plainStep,
  referenceDevice,
  rounded,
  sameBits,
  wholeBlocks,
} from './harness.ts';

const test = suite('linear');
const devices = await kernelDevices();

/** What sums in another order may differ by, at the sizes below. The wasm kernels equal the plain code bit for bit. */
const TOLERANCE = { reference: 0, wasm: 0, webgpu: 1e-4 };
/** For what does not depend on how a device multiplies. */
const onePerKind = devices.filter(({ kind }, i) => devices.findIndex((other) => other.kind === kind) === i);

/**
 * x · wᵀ + b by the plain code that the format's kernels must equal bit for bit. Devices keep some formats in another,
 * `kept`.
 */
function expected(
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
  cols: number,
  format: WeightFormat,
  kept: WeightFormat = format,
) {
  const rows = x.length / cols;
  if (!isQuantized(kept)) return linear(x, rounded(format, w, kept), bias, rows, cols);
  const out = new Float32Array((rows * w.length) / cols);
  const packed = convert(format, kept, quantize(format, w));
  for (let r = 0; r < rows; r++) {
    const row = linearQuantized(x.subarray(r * cols, (r + 1) * cols), packed, kept);
    out.set(
      row.map((value, o) => value + bias[o]),
      r * row.length,
    );
  }
  return out;
}

/** Rows of x, least columns, rows of the weight. */
const SHAPES = [
  [1, 32, 8],
  [1, 64, 1],
  [2, 96, 13],
  [3, 160, 24],
  [4, 32, 7],
  [5, 544, 33],
  [11, 64, 40],
  [13, 1056, 9],
] as const;

/** All shapes; a GPU that the CPU plays takes a few of them for formats that share their kernels with others. */
function shapesFor(kind: string, format: WeightFormat) {
  const isOwn = ['F32', 'Q8_0', 'Q4_0', 'Q4_K'].includes(format);
  return kind === 'webgpu' && !isOwn ? [SHAPES[1], SHAPES[5], SHAPES[6]] : SHAPES;
}

for (const { name, kind, create } of devices) {
  test(`${name}: every format and odd size equals the plain code`, async () => {
    const random = new Random(7);
    const device = await create();
    const bench = await openBench(device);
    for (const format of WEIGHT_FORMATS) {
      for (const [rows, width, outs] of shapesFor(kind, format)) {
        const cols = wholeBlocks(format, width);
        const x = random.floats(rows * cols);
        const w = random.floats(outs * cols, 0.3);
        const b = random.floats(outs);
        const table = bench.input('x', x, cols);
        const weight = await bench.weight('w', w, cols, format);
        const bias = bench.constant(b);
        const [input, out] = [bench.output(cols), bench.output(outs)];
        await bench.run((record) => {
          record.embed({ table, out: input });
          record.linear({ x: input, weights: [weight], bias, out });
        }, plainStep(rows));
        const got = await bench.read(out, rows);
        const difference = maxDifference(got, expected(x, w, b, cols, format, weight.format));
        assert.ok(difference <= TOLERANCE[kind], `${format} ${rows}×${cols}×${outs}: ${difference}`);
      }
    }
    await device.close();
  });
}

test('a range of columns is filled, the others stay as they are', async () => {
  for (const { name, create } of [referenceDevice, ...onePerKind]) {
    const random = new Random(12);
    const device = await create();
    const bench = await openBench(device);
    const [x, w, before] = [random.floats(3 * 64), random.floats(20 * 64), random.floats(3 * 50)];
    const [table, base] = [bench.input('x', x, 64), bench.input('before', before, 50)];
    const weights = [
      await bench.weight('a', w.slice(0, 12 * 64), 64, 'F32'),
      await bench.weight('b', w.slice(12 * 64), 64, 'F32'),
    ];
    const [input, out] = [bench.output(64), bench.output(50)];
    await bench.run((record) => {
      record.embed({ table, out: input });
      record.embed({ table: base, out });
      record.linear({ x: input, weights, columns: { first: 24 }, out });
    }, plainStep(3));
    const found = await bench.read(out, 3);
    const product = linear(x, w, undefined, 3, 64);
    const wanted = before.map((value, i) => {
      const [row, column] = [Math.floor(i / 50), (i % 50) - 24];
      return column >= 0 && column < 20 ? product[row * 20 + column] : value;
    });
    assert.ok(maxDifference(found, wanted) <= 1e-4, `${name}: off by ${maxDifference(found, wanted)}`);
    await device.close();
  }
});

test('float weights need no whole blocks: 1 to 37 columns', async () => {
  const random = new Random(8);
  for (const { kind, name, create } of onePerKind) {
    const device = await create();
    const bench = await openBench(device);
    for (const cols of [1, 3, 5, 30, 37]) {
      for (const format of ['F32', 'F16', 'BF16'] as const) {
        const [x, w] = [random.floats(2 * cols), random.floats(10 * cols)];
        const table = bench.input('x', x, cols);
        const weight = await bench.weight('w', w, cols, format);
        const [input, out] = [bench.output(cols), bench.output(10)];
        await bench.run((record) => {
          record.embed({ table, out: input });
          record.linear({ x: input, weights: [weight], out });
        }, plainStep(2));
        const want = expected(x, w, new Float32Array(10), cols, format);
        const difference = maxDifference(await bench.read(out, 2), want);
        assert.ok(difference <= TOLERANCE[kind], `${name} ${format}, ${cols} columns: ${difference}`);
      }
    }
    await device.close();
  }
});

test('weights side by side fill consecutive columns, odd heights and mixed formats included', async () => {
  const random = new Random(9);
  const cols = 64;
  const heights = [5, 16, 3, 9];
  const formats = ['Q8_0', 'Q4_0', 'F16', 'Q8_0'] as const;
  const x = random.floats(6 * cols);
  const parts = heights.map((height) => random.floats(height * cols));
  const bias = random.floats(33);
  for (const { name, kind, create } of [referenceDevice, ...devices]) {
    const device = await create();
    const bench = await openBench(device);
    const table = bench.input('x', x, cols);
    const weights = await Promise.all(parts.map((w, i) => bench.weight(`w${i}`, w, cols, formats[i])));
    const constant = bench.constant(bias);
    const [input, out] = [bench.output(cols), bench.output(33)];
    await bench.run((record) => {
      record.embed({ table, out: input });
      record.linear({ x: input, weights, bias: constant, out });
    }, plainStep(6));
    const got = await bench.read(out, 6);
    let column = 0;
    parts.forEach((w, i) => {
      const want = expected(x, w, bias.subarray(column, column + heights[i]), cols, formats[i]);
      for (let r = 0; r < 6; r++) {
        const part = got.slice(r * 33 + column, r * 33 + column + heights[i]);
        const difference = maxDifference(part, want.slice(r * heights[i], (r + 1) * heights[i]));
        assert.ok(difference <= (kind === 'reference' ? 0.3 : TOLERANCE[kind]), `${name} part ${i}: ${difference}`);
      }
      column += heights[i];
    });
    await device.close();
  }
});

test('a row gives the same bits alone and among others', async () => {
  const random = new Random(10);
  const [outs, rows] = [50, 23];
  for (const { create, name } of devices) {
    const device = await create();
    const bench = await openBench(device);
    for (const format of WEIGHT_FORMATS) {
      const cols = wholeBlocks(format, 352);
      const x = random.floats(rows * cols);
      const w = random.floats(outs * cols);
      const table = bench.input('x', x, cols);
      const weight = await bench.weight('w', w, cols, format);
      const [input, out] = [bench.output(cols), bench.output(outs)];
      const record: Parameters<typeof bench.run>[0] = (recorder) => {
        recorder.embed({ table, out: input });
        recorder.linear({ x: input, weights: [weight], out });
      };
      await bench.run(record, plainStep(rows));
      const together = await bench.read(out, rows);
      for (const r of [0, 6, 22]) {
        // Alone, and one of a few: kernels for one row, for a few and for many need not be the same.
        for (const tokens of [[r], [3, r, 5]]) {
          await bench.run(record, plainStep(tokens.length, { tokens, logitRows: [] }));
          const at = tokens.indexOf(r) * outs;
          const row = (await bench.read(out, tokens.length)).slice(at, at + outs);
          assert.ok(sameBits(row, together.slice(r * outs, (r + 1) * outs)), `${name} ${format} row ${r}`);
        }
      }
    }
    await device.close();
  }
});

test('a weight may be written in pieces of any height, and rounded from floats on the way', async () => {
  const random = new Random(11);
  const [cols, outs] = [64, 29];
  const w = random.floats(outs * cols);
  const x = random.floats(cols);
  for (const { kind, name, create } of onePerKind) {
    const device = await create();
    const bench = await openBench(device);
    for (const [source, format] of [
      ['BF16', 'Q4_0'],
      ['F16', 'Q8_0'],
      ['F32', 'F32'],
      ['Q4_0', 'Q4_0'],
    ] as const) {
      const weight = device.createWeight({ name: 'w', rows: outs, cols, format });
      const data = quantize(source, w);
      const bytes = rowBytes(source, cols);
      for (const [from, to] of [
        [0, 3],
        [3, 17],
        [17, 29],
      ]) {
        await device.writeWeight(weight, from, data.slice(from * bytes, to * bytes), source);
      }
      const table = bench.input('x', x, cols);
      const [input, out] = [bench.output(cols), bench.output(outs)];
      await bench.run((record) => {
        record.embed({ table, out: input });
        record.linear({ x: input, weights: [weight], out });
      }, plainStep(1));
      const want = expected(x, source === format ? w : rounded(source, w), new Float32Array(outs), cols, format);
      const difference = maxDifference(await bench.read(out, 1), want);
      assert.ok(difference <= TOLERANCE[kind], `${name} ${source} to ${format}: ${difference}`);
    }
    await device.close();
  }
});

test('a row with an element that is no number, or infinite, gives no finite number, and leaves other rows alone', async () => {
  const cols = 64;
  const random = new Random(8);
  const [values, weights] = [random.floats(3 * cols), random.floats(8 * cols)];
  values[cols + 5] = Number.NaN;
  values[2 * cols + 40] = Number.NEGATIVE_INFINITY;
  for (const { name, create } of devices.filter(({ kind }) => kind === 'wasm')) {
    const device = await create();
    const bench = await openBench(device);
    const [input, x, out] = [bench.input('x', values, cols), bench.output(cols), bench.output(8)];
    const weight = await bench.weight('w', weights, cols, 'Q8_0');
    await bench.run((record) => {
      record.embed({ table: input, out: x });
      record.linear({ x, weights: [weight], out });
    }, plainStep(3));
    const rows = await bench.read(out, 3);
    assert.ok(rows.slice(0, 8).every(Number.isFinite), name);
    assert.not.ok(rows.slice(8).some(Number.isFinite), name);
    await device.close();
  }
});

test('embedding reads rows back exactly from every format', async () => {
  const random = new Random(12);
  const vocabulary = 21;
  const tokens = [20, 0, 7, 7, 3];
  for (const { create, name } of [referenceDevice, ...devices]) {
    const device = await create();
    const bench = await openBench(device);
    for (const format of WEIGHT_FORMATS) {
      const cols = wholeBlocks(format, 96);
      const w = random.floats(vocabulary * cols);
      const table = await bench.weight('table', w, cols, format);
      const out = bench.output(cols);
      await bench.run((record) => record.embed({ table, out, scale: 2 }), plainStep(5, { tokens }));
      const got = await bench.read(out, 5);
      const wide = rounded(format, w, table.format);
      tokens.forEach((token, r) => {
        const row = wide.slice(token * cols, (token + 1) * cols).map((value) => 2 * value);
        assert.is(maxDifference(got.slice(r * cols, (r + 1) * cols), row), 0, `${name} ${format} token ${token}`);
      });
    }
    await device.close();
  }
});

test.run();
