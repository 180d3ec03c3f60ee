import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Device, type KvFormat, quantize, type WeightFormat } from '../../kernels/index.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { findFault } from '../../kernels/webgpu/self-check.ts';
import { bestVariants, GPU_VARIANTS, type Variants } from '../../kernels/webgpu/variants.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { MAX_ROWS, maxDifference, openBench, plainStep, referenceDevice, sameBits } from './harness.ts';

const test = suite('webgpu: rows rounded to 8 bits by the kernel that makes them');
const gpu = await testGpu();
const onGpu = gpu ? test : test.skip;

const [ROWS, COLS, OUTS] = [3, 96, 8];

/** The device with the kernels of a GPU. */
async function gpuDevice(more: Partial<Variants> = {}): Promise<Device> {
  if (!gpu) throw new Error('no adapter');
  const variants = { ...bestVariants(gpu.features), ...GPU_VARIANTS, compileAhead: false, ...more };
  return WebGpuDevice.share(gpu, new Pipelines(gpu), variants);
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

/** SwiftShader takes seconds to compile each; `npm run test:full` runs all. */
const brief = gpu?.features.software === true && process.env.QUERN_TEST_FULL !== '1';
const GATED_FORMATS = (['Q8_0', 'BF16', 'Q4_0', 'Q4_K', 'F16', 'F32'] as const).slice(0, brief ? 2 : undefined);

for (const format of GATED_FORMATS) {
  onGpu(`${format}: a gated activation done with the linear before it gives the bits of the two apart`, async () => {
    const random = new Random(43);
    const [cols, half] = [format === 'Q4_K' ? 256 : 288, 64];
    const values = [random.floats(2 * half * cols), random.floats(9 * cols)];
    const device = await gpuDevice();
    const bench = await openBench(device);
    const weight = await bench.weight('w', values[0], cols, format);
    const table = bench.input('x', values[1], cols);
    const next = await bench.weight('next', random.floats(8 * half), half, 'Q8_0');
    const [x, gateUp, activated, out] = [cols, 2 * half, half, 8].map((n) => bench.output(n));
    const results: Float32Array[][] = [];
    for (const rows of brief ? [9, 1, 3] : [9, 1, 2, 3, 7]) {
      await bench.run((record) => {
        record.embed({ table, out: x });
        record.linear({ x, weights: [weight], out: gateUp });
        record.gatedActivation({ x: gateUp, activation: 'silu', limit: 7, out: activated });
        record.linear({ x: activated, weights: [next], out });
      }, plainStep(rows));
      results.push(await Promise.all([gateUp, activated, out].map((tensor) => bench.read(tensor, rows))));
    }
    await device.close();
    // Nine rows take kernels of their own; all fewer must be their first rows.
    const [whole, ...fused] = results;
    for (const [i, tensors] of fused.entries()) {
      for (const [t, got] of tensors.entries()) assert.ok(sameBits(got, whole[t].slice(0, got.length)), `${i} ${t}`);
    }
  });
}

interface HeadsCase {
  readonly format: WeightFormat;
  readonly cacheFormat: KvFormat;
  readonly bias?: boolean;
  readonly heads?: number;
  readonly headDim?: number;
  readonly rotaryDim?: number;
  readonly cols?: number;
  readonly norms?: 'q' | 'q and k';
}

const HEADS_CASES: readonly HeadsCase[] = [
  { format: 'Q4_0', cacheFormat: 'F32' },
  { format: 'BF16', cacheFormat: 'F16', bias: true, headDim: 80, rotaryDim: 32 },
  { format: 'BF16', cacheFormat: 'I8', norms: 'q and k', bias: true },
  { format: 'Q8_0', cacheFormat: 'F32', bias: true, rotaryDim: 16 },
  { format: 'Q8_0', cacheFormat: 'F16', norms: 'q and k', headDim: 64, cols: 1024, heads: 6 },
  { format: 'F32', cacheFormat: 'F32', norms: 'q', headDim: 36, rotaryDim: 12, cols: 40 },
  { format: 'Q4_K', cacheFormat: 'I8', cols: 256, headDim: 80, rotaryDim: 0 },
  { format: 'F16', cacheFormat: 'F16', cols: 32 },
  { format: 'F32', cacheFormat: 'F32', heads: 6, headDim: 24, rotaryDim: 8 },
  { format: 'Q4_K', cacheFormat: 'F16', cols: 256, rotaryDim: 0 },
];

for (const one of HEADS_CASES.slice(0, brief ? 3 : undefined)) {
  const name = Object.entries(one).map(([key, value]) => `${key} ${value}`);
  onGpu(
    `q, k and v rotated and cached with the linear give the bits of the two apart: ${name.join(', ')}`,
    async () => {
      const { format, cacheFormat, bias = false, heads = 4, headDim = 32, rotaryDim = headDim, cols = 96, norms } = one;
      const random = new Random(44);
      const [kvHeads, rows] = [2, 9];
      const outs = (heads + 2 * kvHeads) * headDim;
      const device = await gpuDevice();
      const bench = await openBench(device);
      const weight = await bench.weight('w', random.floats(outs * cols), cols, format);
      const table = bench.input('x', random.floats(rows * cols), cols);
      const rope = rotaryDim > 0 ? bench.constant(random.floats(rows * rotaryDim)) : undefined;
      const biases = bias ? bench.constant(random.floats(outs)) : undefined;
      const [qNorm, kNorm] = ['q', 'k'].map((of) =>
        norms?.includes(of) ? bench.constant(random.floats(headDim)) : undefined,
      );
      const normed = { qNorm, kNorm, normEps: 1e-6 };
      const cache = device.createKvCache({ layers: 1, blocks: 2, kvHeads, headDim, format: cacheFormat });
      const [input, qkv, out] = [cols, outs, heads * headDim].map((n) => bench.output(n));
      const run = async (block: number, first: number, count: number) => {
        const indices = Array.from({ length: count }, (_, i) => first + i);
        await bench.run(
          (record) => {
            record.embed({ table, out: input });
            record.linear({ x: input, weights: [weight], bias: biases, out: qkv });
            record.ropeAndCache({ qkv, heads, rotaryDim, rope, ...normed, cache, layer: 0 });
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
    },
  );
}

onGpu('a number that is none is handed over to the last workgroup as such, and nobody waits for ever', async () => {
  const device = await gpuDevice();
  const bench = await openBench(device);
  const [cols, heads, headDim] = [32, 1, 32];
  const weight = device.createWeight({ name: 'w', rows: 3 * headDim, cols, format: 'F32' });
  await device.writeWeight(weight, 0, new Uint8Array(4 * 3 * headDim * cols).fill(255), 'F32');
  const table = bench.input('x', new Float32Array(cols).fill(1), cols);
  const norm = bench.constant(new Float32Array(headDim).fill(1));
  const cache = bench.cache({ layers: 1, blocks: 1, kvHeads: 1, headDim });
  const [x, qkv] = [bench.output(cols), bench.output(3 * headDim)];
  await bench.run((record) => {
    record.embed({ table, out: x });
    record.linear({ x, weights: [weight], out: qkv });
    record.ropeAndCache({ qkv, heads, rotaryDim: 0, qNorm: norm, kNorm: norm, normEps: 1e-6, cache, layer: 0 });
  }, plainStep(1));
  assert.ok((await bench.read(qkv, 1)).every(Number.isNaN));
  await device.close();
});

onGpu('a norm, a sum and a norm of it in one kernel give the bits of the ops apart', async () => {
  const random = new Random(48);
  const [cols, outs, rows] = [1152, 8, 3];
  const values = [random.floats(rows * cols), random.floats(rows * cols)];
  const results: Float32Array[][] = [];
  for (const apart of [false, true]) {
    const device = await gpuDevice();
    const bench = await openBench(device);
    const [table, addTable] = values.map((one) => bench.input('x', one, cols));
    const [first, second] = [49, 50].map((seed) => bench.constant(new Random(seed).floats(cols)));
    const weight = await bench.weight('w', new Random(51).floats(outs * cols), cols, 'Q8_0');
    const [x, add, normed, other, out] = [cols, cols, cols, 8, outs].map((n) => bench.output(n));
    const otherTable = bench.input('other', random.floats(rows * 8), 8);
    await bench.run((record) => {
      record.embed({ table, out: x });
      record.embed({ table: addTable, out: add });
      for (const isLast of [false, true]) {
        record.norm({ x: add, weight: first, eps: 1e-6, out: add });
        // What stands between keeps the kernels apart.
        if (apart) record.embed({ table: otherTable, out: other });
        if (isLast) record.norm({ x, add, addScale: 0.5, weight: second, eps: 1e-5, out: normed });
        else record.addScaled({ x, add });
      }
      record.linear({ x: normed, weights: [weight], out });
    }, plainStep(rows));
    results.push(await Promise.all([x, add, normed, out].map((tensor) => bench.read(tensor, rows))));
    await device.close();
  }
  const [together, apart] = results;
  for (const [t, got] of together.entries()) assert.ok(sameBits(got, apart[t]), String(t));
});

const NEXT_FORMATS = [['Q8_0', 'F32'], ['Q8_0'], ['F32']] as const;

for (const [format, cols] of (
  [
    ['BF16', 96],
    ['Q4_0', 1024],
    ['F32', 24],
  ] as const
).slice(0, brief ? 1 : undefined)) {
  onGpu(
    `${format}: a sum and its norm by the last workgroup of the linear before give the bits of the ops apart`,
    async () => {
      const random = new Random(52);
      const outs = 1056;
      const values = [
        random.floats(outs * cols),
        random.floats(3 * cols),
        random.floats(3 * outs),
        random.floats(outs),
      ];
      const nextValues = random.floats(8 * outs);
      for (const nexts of NEXT_FORMATS.slice(0, brief ? 1 : undefined)) {
        const results: Float32Array[][] = [];
        for (const lastNorm of [false, true]) {
          const device = await gpuDevice({ lastNorm });
          const bench = await openBench(device);
          const weight = await bench.weight('w', values[0], cols, format);
          const [table, residualTable] = [bench.input('x', values[1], cols), bench.input('r', values[2], outs)];
          const norm = bench.constant(values[3]);
          const matrices = await Promise.all(nexts.map((next) => bench.weight('next', nextValues, outs, next)));
          const [x, residual, added, normed] = [cols, outs, outs, outs].map((n) => bench.output(n));
          const outputs = nexts.map(() => bench.output(8));
          const made: Float32Array[] = [];
          for (const rows of [1, 3, 1]) {
            await bench.run((record) => {
              record.embed({ table, out: x });
              record.embed({ table: residualTable, out: residual });
              record.linear({ x, weights: [weight], out: added });
              record.norm({ x: residual, add: added, weight: norm, eps: 1e-6, out: normed });
              for (const [i, out] of outputs.entries()) record.linear({ x: normed, weights: [matrices[i]], out });
            }, plainStep(rows));
            made.push(...(await Promise.all([added, residual, ...outputs].map((tensor) => bench.read(tensor, rows)))));
          }
          results.push(made);
          await device.close();
        }
        for (const [t, got] of results[1].entries()) assert.ok(sameBits(got, results[0][t]), `${nexts} ${t}`);
      }
    },
  );
}

interface ExpertsCase {
  readonly format: WeightFormat;
  readonly downFormat?: WeightFormat;
  readonly perToken: number;
  readonly cols: number;
  readonly half: number;
  readonly bias?: boolean;
  /** Gate and up are weights of their own. */
  readonly apart?: boolean;
}

const EXPERTS_CASES: readonly ExpertsCase[] = [
  { format: 'Q8_0', perToken: 3, cols: 288, half: 64, bias: true },
  { format: 'BF16', perToken: 2, cols: 64, half: 32, apart: true },
  { format: 'Q4_0', downFormat: 'F32', perToken: 1, cols: 96, half: 64, apart: true },
  { format: 'F16', downFormat: 'Q4_0', perToken: 5, cols: 40, half: 32, bias: true },
];

for (const one of EXPERTS_CASES.slice(0, brief ? 1 : undefined)) {
  const name = Object.entries(one).map(([key, value]) => `${key} ${value}`);
  onGpu(
    `experts done with their activation and their sum give the bits of the ops apart: ${name.join(', ')}`,
    async () => {
      const { format, downFormat = format, perToken, cols, half, bias = false, apart = false } = one;
      const experts = 6;
      const random = new Random(47);
      const device = await gpuDevice();
      const bench = await openBench(device);
      const matrices = async (of: WeightFormat, rows: number, width: number) => {
        const weight = device.createWeight({
          name: 'w',
          rows: experts * rows,
          cols: width,
          format: of,
          matrices: experts,
        });
        await device.writeWeight(weight, 0, quantize(of, random.floats(experts * rows * width)), of);
        return weight;
      };
      const up = await Promise.all((apart ? [half, half] : [2 * half]).map((rows) => matrices(format, rows, cols)));
      const down = [await matrices(downFormat, cols, half)];
      const upBias = bias ? bench.constant(random.floats(experts * 2 * half)) : undefined;
      const downBias = bias ? bench.constant(random.floats(experts * cols)) : undefined;
      const table = bench.input('x', random.floats(12 * cols), cols);
      const scoreTable = bench.input('scores', random.floats(12 * experts), experts);
      const routes = device.createRoutes({ experts, perToken });
      const [x, scores, out] = [cols, experts, cols].map((n) => bench.output(n));
      const [each, raised, activated, results] = [cols, 2 * half, half, cols].map((n) =>
        device.createTensor({ name: 'routed', maxRows: perToken * MAX_ROWS, cols: n, perRow: perToken }),
      );
      const run = async (rows: number) => {
        await bench.run((record) => {
          record.embed({ table, out: x });
          record.embed({ table: scoreTable, out: scores });
          record.route({ scores, normalize: true, routes });
          record.gatherRoutes({ x, routes, out: each });
          record.expertLinear({ x: each, routes, weights: up, bias: upBias, out: raised });
          record.gatedActivation({ x: raised, activation: 'silu', limit: 7, out: activated });
          record.expertLinear({ x: activated, routes, weights: down, bias: downBias, out: results });
          record.mixRoutes({ x: results, routes, out });
        }, plainStep(rows));
        return bench.read(out, rows);
      };
      // Twelve rows have more routes than twice the experts, which take kernels of their own.
      const whole = await run(12);
      for (const rows of [1, 2]) assert.ok(sameBits(await run(rows), whole.slice(0, rows * cols)), `${rows}`);
      await device.close();
    },
  );
}

for (const op of ['norm', 'gatedActivation'] as const) {
  onGpu(`${op}: the same bits as from a kernel of its own, and near to the plain code`, async () => {
    const { joined, apart } = await outcome(await gpuDevice(), op);
    assert.ok(sameBits(joined.made, apart.made));
    assert.ok(sameBits(joined.product, apart.product));
    const { joined: plain } = await outcome(await referenceDevice.create(), op);
    assert.ok(maxDifference(joined.made, plain.made) < 1e-5);
  });
}

onGpu('the kernels that a GPU takes pass the self-check, else every GPU would take plainer ones', async () => {
  const device = await gpuDevice();
  assert.is(await findFault(device), undefined);
  await device.close();
});

test.run();
