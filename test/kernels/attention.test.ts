import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../kernels/index.ts';
import { KV_BLOCK_SIZE } from '../../kernels/index.ts';
import { Random } from '../random.ts';
import { gpuKernelDevices, kernelDevices, maxDifference, openBench, referenceDevice, sameBits } from './harness.ts';

const test = suite('rope, cache and attention');
// The variants of the webgpu device differ in linear only.
const devices = (await kernelDevices()).filter(({ name }) => !/other linear|plain products/.test(name));

interface Shape {
  heads: number;
  kvHeads: number;
  headDim: number;
  rotaryDim: number;
  window?: number;
  norm?: boolean;
  softcap?: number;
  sinks?: boolean;
}

/** Sequences whose rows are fed in chunks; the qkv row of (sequence, position) is always the same random vector. */
interface Feed {
  lengths: number[];
  /** Each step: rows as (sequence, position). */
  steps: [sequence: number, position: number][][];
}

const MAX_POSITION = 600;

/** Runs all steps and returns attention's output for every (sequence, position), in that order. */
async function attend(device: Device, shape: Shape, feed: Feed): Promise<Map<string, Float32Array>> {
  const random = new Random(42);
  const { heads, kvHeads, headDim, rotaryDim } = shape;
  const cols = (heads + 2 * kvHeads) * headDim;
  const bench = await openBench(device);
  const firstRow: number[] = [];
  let rows = 0;
  for (const length of feed.lengths) {
    firstRow.push(rows);
    rows += length;
  }
  const table = bench.input('qkv', random.floats(rows * cols), cols);
  const rope = bench.constant(
    Float32Array.from({ length: MAX_POSITION * rotaryDim }, (_, i) => {
      const [position, j] = [Math.floor(i / rotaryDim), i % rotaryDim];
      const angle = position * 10000 ** (-(j % (rotaryDim / 2)) / (rotaryDim / 2));
      return j < rotaryDim / 2 ? Math.cos(angle) : Math.sin(angle);
    }),
  );
  const norms = shape.norm
    ? { qNorm: bench.constant(random.floats(headDim)), kNorm: bench.constant(random.floats(headDim)) }
    : {};
  const { window, softcap } = shape;
  const sinks = shape.sinks ? bench.constant(random.floats(heads, 2)) : undefined;
  const [qkv, out] = [bench.output(cols), bench.output(heads * headDim)];
  const cache = bench.cache({ layers: 2, blocks: 120, kvHeads, headDim });
  // Blocks of the sequences lie scattered: block i of sequence s is (i · sequences + s) · 7 mod 120.
  const blockTables = feed.lengths.map((length, s) =>
    Array.from({ length: Math.ceil(length / KV_BLOCK_SIZE) }, (_, i) => ((i * feed.lengths.length + s) * 7) % 120),
  );
  const results = new Map<string, Float32Array>();
  for (const step of feed.steps) {
    await bench.run(
      (record) => {
        record.embed({ table, out: qkv });
        record.ropeAndCache({ qkv, heads, rotaryDim, rope, ...norms, normEps: 1e-6, cache, layer: 1 });
        const scale = 1 / Math.sqrt(headDim);
        record.attention({ qkv, heads, scale, window, softcap, sinks, cache, layer: 1, out });
      },
      {
        tokens: step.map(([s, p]) => firstRow[s] + p),
        positions: step.map(([, p]) => p),
        slots: step.map(([s]) => s),
        blockTables,
        logitRows: [],
      },
    );
    const values = await bench.read(out, step.length);
    step.forEach(([s, p], r) => results.set(`${s}:${p}`, values.slice(r * heads * headDim, (r + 1) * heads * headDim)));
  }
  await device.close();
  return results;
}

function chunks(sequence: number, length: number, size: number): [number, number][][] {
  const steps: [number, number][][] = [];
  for (let from = 0; from < length; from += size) {
    const to = Math.min(length, from + size);
    steps.push(Array.from({ length: to - from }, (_, i): [number, number] => [sequence, from + i]));
  }
  return steps;
}

const SHAPES: Shape[] = [
  { heads: 4, kvHeads: 2, headDim: 16, rotaryDim: 16 },
  { heads: 3, kvHeads: 1, headDim: 20, rotaryDim: 10, norm: true },
  { heads: 7, kvHeads: 1, headDim: 32, rotaryDim: 32, window: 5 },
  { heads: 2, kvHeads: 2, headDim: 64, rotaryDim: 48, window: 33, norm: true },
  { heads: 1, kvHeads: 1, headDim: 4, rotaryDim: 2 },
  { heads: 4, kvHeads: 2, headDim: 32, rotaryDim: 32, softcap: 1.5, window: 20 },
  { heads: 6, kvHeads: 2, headDim: 16, rotaryDim: 16, sinks: true },
];

for (const shape of SHAPES) {
  const { heads, kvHeads, headDim, window } = shape;
  test(`${heads} heads over ${kvHeads} of ${headDim}${window ? `, window ${window}` : ''}: equals the reference`, async () => {
    const feed: Feed = { lengths: [37, 17], steps: [...chunks(0, 37, 16), ...chunks(1, 17, 5)] };
    const want = await attend(await referenceDevice.create(), shape, feed);
    const firsts = new Map<string, Map<string, Float32Array>>();
    for (const { name, family, create } of devices) {
      const got = await attend(await create(), shape, feed);
      const first = firsts.get(family) ?? got;
      firsts.set(family, first);
      for (const [key, values] of want) {
        const difference = maxDifference(got.get(key)!, values);
        assert.ok(difference < 5e-6, `${name} ${key}: ${difference}`);
        assert.ok(sameBits(got.get(key)!, first.get(key)!), `${name} ${key} differs in bits`);
      }
    }
  });
}

test('contexts of several splits equal the reference and do not depend on who shares the work', async () => {
  const shape = { heads: 6, kvHeads: 2, headDim: 16, rotaryDim: 16, softcap: 4, sinks: true };
  const length = 590;
  // The prompt in chunks, except that the last positions come in few rows or beside short sequences, which spreads them.
  const lengths = [length, 2];
  const steps = [
    ...chunks(0, 584, 40),
    [
      [0, 584],
      [0, 585],
      [0, 586],
    ],
    [
      [0, 587],
      [1, 0],
    ],
    [
      [1, 1],
      [0, 588],
    ],
    [[0, 589]],
  ] as Feed['steps'];
  const want = await attend(await referenceDevice.create(), shape, { lengths, steps });
  const together = new Map<string, Map<string, Float32Array>>();
  for (const { name, family, create } of devices) {
    if (!together.has(family)) {
      const feed = { lengths, steps: [...chunks(0, length, 40), ...chunks(1, 2, 2)] };
      together.set(family, await attend(await create(), shape, feed));
    }
    const got = await attend(await create(), shape, { lengths, steps });
    for (const key of ['0:3', '0:255', '0:256', '0:511', '0:512', '0:584', '0:586', '0:587', '0:588', '0:589', '1:1']) {
      assert.ok(maxDifference(got.get(key)!, want.get(key)!) < 5e-6, `${name} ${key}`);
      assert.ok(sameBits(got.get(key)!, together.get(family)!.get(key)!), `${name} ${key} alone and in a chunk`);
    }
  }
});

test('a row gives the same bits alone, among other sequences, and however its prompt was cut', async () => {
  for (const shape of [SHAPES[0], SHAPES[3], SHAPES[5], SHAPES[6]]) {
    const alone = new Map<string, Map<string, Float32Array>>();
    const mixed: Feed = { lengths: [40, 23], steps: [] };
    for (let p = 0; p < 40; p += 3) {
      const rows: [number, number][] = [];
      for (let i = p; i < Math.min(40, p + 3); i++) rows.push([0, i]);
      for (let i = p * 2; i < Math.min(23, p * 2 + 6); i++) rows.unshift([1, i]);
      mixed.steps.push(rows);
    }
    for (const { name, family, create } of devices) {
      if (!alone.has(family)) {
        alone.set(family, await attend(await create(), shape, { lengths: [40, 23], steps: chunks(0, 40, 1) }));
      }
      const got = await attend(await create(), shape, mixed);
      for (let p = 0; p < 40; p++) {
        assert.ok(sameBits(got.get(`0:${p}`)!, alone.get(family)!.get(`0:${p}`)!), `${name} position ${p}`);
      }
    }
  }
});

test('rows of a prompt that share what they read give the same bits as rows alone', async () => {
  // Which way a wasm device multiplies has no part in this. The GPU's kernel takes heads of whole blocks of 32.
  const onCpu = { heads: 6, headDim: 20, sharing: devices.filter(({ name }) => /threads/.test(name)) };
  const onGpu = { heads: 4, headDim: 64, sharing: await gpuKernelDevices() };
  for (const [{ heads, headDim, sharing }, window] of [
    [onCpu, undefined],
    [onCpu, 45],
    [onGpu, undefined],
    [{ ...onGpu, heads: 6 }, 45],
  ] as const) {
    const shape = { heads, kvHeads: 2, headDim, rotaryDim: headDim, softcap: 4, sinks: true };
    // Runs of 26 rows begin anywhere in a tile or a split, and another sequence stands between them.
    const runs = chunks(0, 312, 26);
    const prompt: Feed = { lengths: [312, 30], steps: runs.map((run, i) => [...run, [1, i]]) };
    const alone = [0, 31, 62, 253, 254, 255, 256, 257, 299].map((p): [number, number][] => [[0, p]]);
    const wanted = await attend(await referenceDevice.create(), { ...shape, window }, prompt);
    for (const { name, create } of sharing) {
      const together = await attend(await create(), { ...shape, window }, prompt);
      const steps = [...prompt.steps, ...alone];
      const apart = await attend(await create(), { ...shape, window }, { ...prompt, steps });
      for (const [key, values] of wanted) {
        assert.ok(maxDifference(together.get(key)!, values) < 5e-6, `${name} ${key}`);
        assert.ok(sameBits(together.get(key)!, apart.get(key)!), `${name} ${key} alone and in a run`);
      }
    }
  }
});

test('without a rope table nothing is rotated, and another row of it rotates like its position', async () => {
  const [cols, heads, kvHeads, headDim] = [32, 2, 1, 8];
  const random = new Random(4);
  const [rows, table] = [random.floats(3 * cols), random.floats(9 * headDim)];
  for (const { name, create } of [referenceDevice, ...devices]) {
    const device = await create();
    const bench = await openBench(device);
    const input = bench.input('qkv', rows, cols);
    const [qkv, rope] = [bench.output(cols), bench.constant(table)];
    const cache = bench.cache({ layers: 1, blocks: 1, kvHeads, headDim });
    const rotated = async (withRope: boolean, positions: number[], ropeRows?: number[]) => {
      await bench.run(
        (record) => {
          record.embed({ table: input, out: qkv });
          const rotation = withRope ? { rope, rotaryDim: headDim } : { rotaryDim: 0 };
          record.ropeAndCache({ qkv, heads, cache, layer: 0, ...rotation });
        },
        { tokens: [0, 1, 2], positions, ropeRows, slots: [0, 0, 0], blockTables: [[0]], logitRows: [] },
      );
      return bench.read(qkv, 3);
    };
    assert.ok(sameBits(await rotated(false, [0, 1, 2]), rows), name);
    const wanted = await rotated(true, [4, 5, 8]);
    assert.not.ok(sameBits(wanted, rows), name);
    assert.ok(sameBits(await rotated(true, [0, 1, 2], [4, 5, 8]), wanted), name);
    await device.close();
  }
});

test.run();
