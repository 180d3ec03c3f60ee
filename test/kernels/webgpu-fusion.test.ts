import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Device } from '../../kernels/index.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import { bestVariants, GPU_VARIANTS } from '../../kernels/webgpu/kernels.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { maxDifference, openBench, plainStep, referenceDevice, sameBits } from './harness.ts';

const test = suite('webgpu: rows rounded to 8 bits by the kernel that makes them');
const gpu = await testGpu();
const onGpu = gpu ? test : test.skip;

const [ROWS, COLS, OUTS] = [3, 96, 8];

/** The device with the kernels of a GPU. */
async function gpuDevice(): Promise<Device> {
  if (!gpu) throw new Error('no adapter');
  return WebGpuDevice.share(gpu, new Pipelines(gpu), { ...bestVariants(gpu.features), ...GPU_VARIANTS });
}

interface Outcome {
  readonly made: Float32Array;
  readonly product: Float32Array;
}

/** The results of an op on random rows and of a linear on them, in one plan or with the op's rows brought in anew. */
async function outcome(device: Device, op: 'norm' | 'gatedActivation'): Promise<{ joined: Outcome; apart: Outcome }> {
  const random = new Random(41);
  const bench = await openBench(device);
  const cols = op === 'norm' ? COLS : 2 * COLS;
  const table = bench.input('x', random.floats(ROWS * cols), cols);
  const weight = await bench.weight('w', random.floats(OUTS * COLS), COLS, 'Q8_0');
  const norm = bench.constant(random.floats(COLS));
  const [x, made, product] = [bench.output(cols), bench.output(COLS), bench.output(OUTS)];
  await bench.run((record) => {
    record.embed({ table, out: x });
    if (op === 'norm') record.norm({ x, weight: norm, eps: 1e-6, out: made });
    else record.gatedActivation({ x, activation: 'silu', out: made });
    record.linear({ x: made, weights: [weight], out: product });
  }, plainStep(ROWS));
  const joined = { made: await bench.read(made, ROWS), product: await bench.read(product, ROWS) };

  const again = bench.input('made', joined.made, COLS);
  const [brought, alone] = [bench.output(COLS), bench.output(OUTS)];
  await bench.run((record) => {
    record.embed({ table: again, out: brought });
    record.linear({ x: brought, weights: [weight], out: alone });
  }, plainStep(ROWS));
  const apart = { made: await bench.read(brought, ROWS), product: await bench.read(alone, ROWS) };
  await device.close();
  return { joined, apart };
}

onGpu('a gated activation done with the linear before it gives the bits of the two apart', async () => {
  const random = new Random(43);
  const [cols, half] = [288, 64];
  const values = [random.floats(2 * half * cols), random.floats(9 * cols)];
  const results: Float32Array[][] = [];
  for (const format of ['Q8_0', 'Q4_0'] as const) {
    const device = await gpuDevice();
    const bench = await openBench(device);
    const weight = await bench.weight('w', values[0], cols, format);
    const table = bench.input('x', values[1], cols);
    const next = await bench.weight('next', random.floats(8 * half), half, 'Q8_0');
    const [x, gateUp, activated, out] = [cols, 2 * half, half, 8].map((n) => bench.output(n));
    for (const rows of [9, 1, 2, 3, 7]) {
      await bench.run((record) => {
        record.embed({ table, out: x });
        record.linear({ x, weights: [weight], out: gateUp });
        record.gatedActivation({ x: gateUp, activation: 'silu', limit: 7, out: activated });
        record.linear({ x: activated, weights: [next], out });
      }, plainStep(rows));
      // Nine rows take kernels of their own; all fewer must be their first rows.
      results.push(await Promise.all([gateUp, activated, out].map((tensor) => bench.read(tensor, rows))));
    }
    await device.close();
  }
  for (const [i, tensors] of results.entries()) {
    const whole = results[i < 5 ? 0 : 5];
    for (const [t, got] of tensors.entries()) assert.ok(sameBits(got, whole[t].slice(0, got.length)), `${i} ${t}`);
  }
});

onGpu('q, k and v rotated and cached with the linear before give the bits of the two apart', async () => {
  const random = new Random(44);
  const [cols, heads, kvHeads, headDim, rows] = [96, 4, 2, 32, 9];
  const [weights, x] = [random.floats((heads + 2 * kvHeads) * headDim * cols), random.floats(rows * cols)];
  const device = await gpuDevice();
  const bench = await openBench(device);
  const weight = await bench.weight('w', weights, cols, 'Q4_0');
  const table = bench.input('x', x, cols);
  const rope = bench.constant(random.floats(rows * headDim));
  const cache = bench.cache({ layers: 1, blocks: 2, kvHeads, headDim });
  const [input, qkv, out] = [cols, (heads + 2 * kvHeads) * headDim, heads * headDim].map((n) => bench.output(n));
  const run = async (block: number, first: number, count: number) => {
    const indices = Array.from({ length: count }, (_, i) => first + i);
    await bench.run(
      (record) => {
        record.embed({ table, out: input });
        record.linear({ x: input, weights: [weight], out: qkv });
        record.ropeAndCache({ qkv, heads, rotaryDim: headDim, rope, cache, layer: 0 });
        record.attention({ qkv, heads, scale: 0.2, cache, layer: 0, out });
      },
      { tokens: indices, positions: indices, slots: indices.map(() => 0), blockTables: [[block]], logitRows: [] },
    );
    return [await bench.read(qkv, count), await bench.read(out, count)];
  };
  // Nine rows take kernels of their own; the others build the same sequence in another block.
  const whole = await run(0, 0, rows);
  for (const [first, count] of [
    [0, 1],
    [1, 2],
    [3, 5],
    [8, 1],
  ]) {
    for (const [t, got] of (await run(1, first, count)).entries()) {
      const width = got.length / count;
      assert.ok(sameBits(got, whole[t].slice(first * width, (first + count) * width)), `rows from ${first}, ${t}`);
    }
  }
  await device.close();
});

for (const op of ['norm', 'gatedActivation'] as const) {
  onGpu(`${op}: the same bits as from a kernel of its own, and near to the plain code`, async () => {
    const { joined, apart } = await outcome(await gpuDevice(), op);
    assert.ok(sameBits(joined.made, apart.made));
    assert.ok(sameBits(joined.product, apart.product));
    const { joined: plain } = await outcome(await referenceDevice.create(), op);
    assert.ok(maxDifference(joined.made, plain.made) < 1e-5);
  });
}

test.run();
