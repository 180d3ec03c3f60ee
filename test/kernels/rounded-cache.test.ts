import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Device, floatToHalf, halfToFloat, type KvFormat } from '../../kernels/index.ts';
import { Random } from '../random.ts';
import { gpuKernelDevices, kernelDevices, maxDifference, openBench, referenceDevice, sameBits } from './harness.ts';

const test = suite('keys and values in fewer bits');
// How they multiply has no part in this.
const devices = [
  ...(await kernelDevices()).filter(({ name }) => !/inline|linear|GPU/.test(name)),
  ...(await gpuKernelDevices()),
];
/** One of each kind. */
const kinds = [...new Map([referenceDevice, ...devices].map((device) => [device.kind, device])).values()];

interface Shape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What the rows `qkv` of one sequence attend to, computed `chunk` at a time: `[rows, heads · headDim]`. */
async function attend(device: Device, qkvRows: Float32Array, shape: Shape, format: KvFormat, chunk = 40) {
  const { heads, kvHeads, headDim } = shape;
  const cols = (heads + 2 * kvHeads) * headDim;
  const length = qkvRows.length / cols;
  const bench = await openBench(device);
  const table = bench.input('qkv', qkvRows, cols);
  const rope = bench.constant(
    Float32Array.from({ length: length * headDim }, (_, i) => (i % headDim < headDim / 2 ? 1 : 0)),
  );
  const cache = device.createKvCache({ layers: 1, blocks: 40, kvHeads, headDim, format });
  const [qkv, out] = [bench.output(cols), bench.output(heads * headDim)];
  const result = new Float32Array(length * heads * headDim);
  for (let from = 0; from < length; from += chunk) {
    const positions = Array.from({ length: Math.min(chunk, length - from) }, (_, i) => from + i);
    await bench.run(
      (record) => {
        record.embed({ table, out: qkv });
        record.ropeAndCache({ qkv, heads, rotaryDim: headDim, rope, cache, layer: 0 });
        record.attention({ qkv, heads, scale: 1 / Math.sqrt(headDim), cache, layer: 0, out });
      },
      {
        tokens: positions,
        positions,
        slots: positions.map(() => 0),
        blockTables: [Array.from({ length: Math.ceil(length / 16) }, (_, i) => (i * 7) % 40)],
        logitRows: [],
      },
    );
    result.set(await bench.read(out, positions.length), from * heads * headDim);
  }
  await device.close();
  return result;
}

/** Numbers at every border of the format: ties, subnormal halves, zeros, the greatest, and beyond. */
function borders(): number[] {
  const halves = [0, 1, 2, 0x3ff, 0x400, 0x401, 0x3bff, 0x3c00, 0x3c01, 0x7bfe, 0x7bff].map(halfToFloat);
  const between = halves.slice(0, -1).map((x, i) => (x + halves[i + 1]) / 2);
  const ties = [0x0001, 0x0400, 0x3c00, 0x3c01, 0x7bfd].map((bits) => (halfToFloat(bits) + halfToFloat(bits + 1)) / 2);
  const near = [...between, ...ties].flatMap((x) => [Math.fround(x), Math.fround(x * (1 + 2 ** -20)), x * 0.999]);
  const positive = [...halves, ...near, 65_519, 65_520, 1e6, 3e38, 1e-9, 2 ** -25, 2 ** -24, 1e-40];
  return positive.flatMap((x) => [x, -x]);
}

test('values are rounded to the nearest half, ties to even, and kept within ±65504', async () => {
  const shape = { heads: 1, kvHeads: 1, headDim: 256 };
  const numbers = [...borders(), ...new Random(3).floats(2000).map((x) => x * 100)];
  // One position sees itself alone, so that its values are what comes out.
  for (const { name, create } of kinds) {
    for (let at = 0; at < numbers.length; at += 256) {
      const values = Float32Array.from({ length: 256 }, (_, i) => numbers[at + i] ?? 0);
      const qkv = new Float32Array(768);
      qkv.set(values, 512);
      const out = await attend(await create(), qkv, shape, 'F16');
      const expected = values.map((x) => halfToFloat(floatToHalf(Math.max(-65_504, Math.min(65_504, x)))));
      for (const [i, x] of expected.entries()) assert.is(out[i] + 0, x + 0, `${name}: ${values[i]}`);
    }
  }
});

/** By how much the rounding of a format may change a result, at least and at most. */
const ROUNDING = { F16: [1e-5, 2e-3], I8: [1e-4, 3e-2] } as const;

for (const format of ['F16', 'I8'] as const) {
  for (const shape of [
    { heads: 4, kvHeads: 2, headDim: 64 },
    { heads: 3, kvHeads: 1, headDim: 20 },
  ]) {
    const { heads, kvHeads, headDim } = shape;
    test(`${format}, ${heads} heads of ${headDim}: equals the reference, and is the same however it is computed`, async () => {
      const length = 300;
      const cols = (heads + 2 * kvHeads) * headDim;
      const rows = new Random(11).floats(length * cols);
      const want = await attend(await referenceDevice.create(), rows, shape, format);
      const full = await attend(await referenceDevice.create(), rows, shape, 'F32');
      const firsts = new Map<string, Float32Array>();
      for (const { name, family, create } of devices) {
        const got = await attend(await create(), rows, shape, format);
        const first = firsts.get(family) ?? got;
        if (first === got) {
          firsts.set(family, got);
          const oneByOne = await attend(await create(), rows.slice(0, 20 * cols), shape, format, 1);
          assert.ok(sameBits(oneByOne, got.slice(0, oneByOne.length)), `${name}, one by one`);
          // Leaves a single row at the end, which sees more than one split.
          const otherChunks = await attend(await create(), rows, shape, format, 23);
          assert.ok(sameBits(otherChunks, got), `${name}, other chunks`);
        }
        assert.ok(maxDifference(got, want) < 5e-6, `${name}: ${maxDifference(got, want)}`);
        assert.ok(sameBits(got, first), name);
      }
      const rounding = maxDifference(want, full);
      const [least, most] = ROUNDING[format];
      assert.ok(rounding > least && rounding < most, `rounding changes the result by ${rounding}`);
    });
  }
}

test('bytes are multiples of 1/127 of the largest element, the nearest to each, halves to even', async () => {
  const shape = { heads: 1, kvHeads: 1, headDim: 16 };
  const rows = [
    [127, -127, 63.5, 64.5, -0.5, -1.5, 0.49, 0.51, 0, 1, 2, 3, 4, 5, 6, 7],
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [1e-31, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    Array.from(new Random(5).floats(16)),
  ];
  for (const { name, create } of kinds) {
    for (const [i, row] of rows.entries()) {
      const qkv = new Float32Array(48);
      qkv.set(row, 32);
      const out = await attend(await create(), qkv, shape, 'I8');
      const step = Math.max(...row.map(Math.abs)) / 127;
      for (const [at, x] of row.entries()) assert.ok(Math.abs(out[at] - x) <= step / 2 + 1e-6, `${name} ${i}: ${x}`);
      if (i === 0)
        assert.equal(
          [...out.slice(0, 8)],
          [127, -127, 64, 64, 0, -2, 0, 1].map((x) => x + 0),
          name,
        );
    }
  }
});

test('a block takes half the bytes, or a quarter and its scales', async () => {
  const shape = { layers: 3, kvHeads: 2, headDim: 16 };
  for (const { create } of kinds.slice(1)) {
    const device = await create();
    const bytes = device.kvBlockBytes(shape);
    assert.is(device.kvBlockBytes({ ...shape, format: 'F16' }), bytes / 2);
    assert.is(device.createKvCache({ ...shape, blocks: 5, format: 'F16' }).byteLength, (5 * bytes) / 2);
    assert.is(device.kvBlockBytes({ ...shape, format: 'I8' }), bytes / 4 + 2 * 3 * 2 * 16 * 4);
    await device.close();
  }
});

test.run();
