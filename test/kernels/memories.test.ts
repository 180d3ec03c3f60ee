/** Weights beyond one linear memory: ops that run in several give the same bits as in one. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DeviceError,
  type OpRecorder,
  quantize,
  WasmDevice,
  type Weight,
  type WeightFormat,
} from '../../kernels/index.ts';
import { Memories } from '../../kernels/wasm/memories.ts';
import { Random } from '../random.ts';
import { openBench, plainStep, sameBits } from './harness.ts';

const test = suite('several memories');

const MIB = 2 ** 20;
const COLS = 256;

/** Two layers of every op; returns what they leave in `out`, and how many memories there are. */
async function twoLayers(device: WasmDevice, format: WeightFormat) {
  const bench = await openBench(device);
  const random = new Random(7);
  const table = bench.input('x', random.floats(40 * COLS), COLS);
  const [hidden, qkv, attended, gateUp, activated] = [
    bench.output(COLS),
    bench.output(2 * COLS),
    bench.output(COLS),
    bench.output(2 * COLS),
    bench.output(COLS),
  ];
  const last = bench.output(COLS, 'logits');
  const norm = bench.constant(random.floats(COLS));
  const rope = bench.constant(random.floats(64 * 32));
  const cache = bench.cache({ layers: 2, blocks: 2, kvHeads: 4, headDim: 32 });
  const matrix = (name: string, rows = COLS) => bench.weight(name, random.floats(rows * COLS), COLS, format);
  const layers: Record<'q' | 'kv' | 'gateUp' | 'down', Weight>[] = [];
  for (let layer = 0; layer < 2; layer++) {
    layers.push({
      q: await matrix(`q${layer}`),
      kv: await matrix(`kv${layer}`),
      gateUp: await matrix(`gateUp${layer}`, 2 * COLS),
      down: await matrix(`down${layer}`),
    });
  }
  const record = (ops: OpRecorder) => {
    ops.embed({ table, out: hidden });
    layers.forEach(({ q, kv, gateUp: gateUpWeight, down }, layer) => {
      ops.linear({ x: hidden, weights: [q, kv], out: qkv });
      ops.ropeAndCache({ qkv, heads: 8, rotaryDim: 32, rope, cache, layer });
      ops.attention({ qkv, heads: 8, scale: 0.2, cache, layer, out: attended });
      ops.norm({ x: hidden, add: attended, weight: norm, eps: 1e-5, out: attended });
      ops.linear({ x: attended, weights: [gateUpWeight], out: gateUp });
      ops.gatedActivation({ x: gateUp, activation: 'silu', out: activated });
      ops.linear({ x: activated, weights: [down], out: hidden });
    });
    ops.gatherRows({ x: hidden, out: last });
  };
  const rows = Array.from({ length: 20 }, (_, i) => i);
  const step = plainStep(20, { positions: rows, blockTables: [[1, 0]], logitRows: [3, 19] });
  await bench.run(record, step);
  return { out: await device.read(last, 2), memories: device.memories };
}

async function closing<T>(device: WasmDevice, use: (device: WasmDevice) => Promise<T>): Promise<T> {
  try {
    return await use(device);
  } finally {
    await device.close();
  }
}

for (const threads of [0, 2]) {
  for (const format of ['F32', 'Q4_0'] as const) {
    test(`${format} with ${threads} threads: layers in three and more memories`, async () => {
      const one = await closing(await WasmDevice.create({ threads }), (device) => twoLayers(device, format));
      const memoryBytes = format === 'F32' ? 2 * MIB : 1.25 * MIB;
      const several = await closing(await WasmDevice.create({ threads, memoryBytes }), (device) =>
        twoLayers(device, format),
      );
      assert.is(one.memories, 1);
      assert.ok(several.memories >= 2, `${several.memories} memories`);
      assert.ok(one.out.some((value) => value !== 0) && one.out.every(Number.isFinite));
      assert.ok(sameBits(one.out, several.out));
    });
  }
}

test('experts whose matrices lie in several memories: the routes follow', async () => {
  const [experts, perToken] = [8, 2];
  const mixture = async (memoryBytes: number) =>
    closing(await WasmDevice.create({ threads: 2, memoryBytes }), async (device) => {
      const bench = await openBench(device);
      const random = new Random(5);
      const table = bench.input('x', random.floats(40 * COLS), COLS);
      const router = await bench.weight('router', random.floats(experts * COLS), COLS, 'F32');
      const matrices = await Promise.all(
        ['first', 'second', 'third'].map(async (name) => {
          const weight = device.createWeight({
            name,
            rows: experts * COLS,
            cols: COLS,
            format: 'Q8_0',
            matrices: experts,
          });
          await device.writeWeight(weight, 0, quantize('Q8_0', random.floats(experts * COLS * COLS, 0.1)), 'Q8_0');
          return weight;
        }),
      );
      const routes = device.createRoutes({ experts, perToken });
      const [x, scores, out] = [bench.output(COLS), bench.output(experts), bench.output(COLS)];
      const [a, b] = ['a', 'b'].map((name) =>
        device.createTensor({ name, maxRows: 40 * perToken, cols: COLS, perRow: perToken }),
      );
      await bench.run((ops) => {
        ops.embed({ table, out: x });
        ops.linear({ x, weights: [router], out: scores });
        ops.route({ scores, normalize: true, routes });
        ops.gatherRoutes({ x, routes, out: a });
        ops.expertLinear({ x: a, routes, weights: [matrices[0]], out: b });
        ops.expertLinear({ x: b, routes, weights: [matrices[1]], out: a });
        ops.expertLinear({ x: a, routes, weights: [matrices[2]], out: b });
        ops.mixRoutes({ x: b, routes, out });
      }, plainStep(20));
      return { out: await device.read(out, 20), memories: device.memories };
    });
  const [one, several] = [await mixture(64 * MIB), await mixture(2 * MIB)];
  assert.is(one.memories, 1);
  assert.ok(several.memories >= 2, `${several.memories} memories`);
  assert.ok(sameBits(one.out, several.out));
});

test('a weight that lies across 2 GiB, where addresses turn negative, is multiplied whole', async () => {
  const rows = 4096;
  const products = async (fillerBytes: number) =>
    closing(await WasmDevice.create({ threads: 0 }), async (device) => {
      // Memory that nobody touches costs nothing.
      device.createWeight({ name: 'filler', rows: fillerBytes / 1024, cols: COLS, format: 'F32' });
      const random = new Random(3);
      const weight = device.createWeight({ name: 'w', rows, cols: COLS, format: 'Q8_0' });
      const data = quantize('Q8_0', random.floats(rows * COLS));
      await device.writeWeight(weight, 0, data, 'Q8_0');
      const bench = await openBench(device);
      const [x, out] = [bench.output(COLS), bench.output(rows)];
      const table = bench.input('x', random.floats(40 * COLS), COLS);
      await bench.run((ops) => {
        ops.embed({ table, out: x });
        ops.linear({ x, weights: [weight], out });
      }, plainStep(2));
      return device.read(out, 2);
    });
  assert.ok(sameBits(await products(MIB), await products(2048 * MIB - (rows * COLS) / 2)));
});

test('a weight or a cache that no memory can hold is refused by name', async () => {
  const memories = new Memories(false, MIB);
  assert.throws(
    () => memories.placeWeight(2 * MIB, 'weight w'),
    (error: Error) => error instanceof DeviceError && /^weight w: 3 MiB in all exceed the 1 MiB/.test(error.message),
  );
  assert.throws(() => memories.checkPages(MIB, 'K/V cache of a layer'), /K\/V cache of a layer: 1048576 bytes exceed/);
});

test.run();
