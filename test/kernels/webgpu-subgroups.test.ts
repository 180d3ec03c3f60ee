/** Kernels whose threads tell each other what they have within subgroups: of any size, with the bits of those that do without. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ReducedLogits } from '../../kernels/index.ts';
import type { AdapterFeatures } from '../../kernels/webgpu/adapter.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import { acrossThreads, attentionKernels, KERNELS } from '../../kernels/webgpu/kernels.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { findFault } from '../../kernels/webgpu/self-check.ts';
import { SHADERS, type ShaderName } from '../../kernels/webgpu/shaders.ts';
import {
  bestVariants,
  FEATURELESS,
  featureVariants,
  GPU_VARIANTS,
  type Variants,
} from '../../kernels/webgpu/variants.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { openBench, plainStep, sameBits } from './harness.ts';

const test = suite('webgpu subgroups');
const gpu = await testGpu();
const least = gpu?.features.subgroupThreads?.least ?? 0;
const onSubgroups = least > 0 ? test : test.skip;

function device(variants: Partial<Variants>, shaders?: Partial<Record<ShaderName, string>>): WebGpuDevice {
  if (!gpu) throw new Error('no adapter');
  return WebGpuDevice.share(gpu, new Pipelines(gpu, shaders), { ...bestVariants(gpu.features), ...variants });
}

function asOnGpu(subgroups: number): WebGpuDevice {
  return device({ ...GPU_VARIANTS, subgroups });
}

const NO_FEATURES: AdapterFeatures = {
  description: 'an adapter',
  packedDot: false,
  subgroupThreads: undefined,
  halves: false,
  matrixShapes: [],
  immediateBytes: 0,
  software: false,
  timestamps: false,
};

test('kernels count on the least size that a subgroup may have, up to 32', () => {
  const spanOf = (subgroupThreads?: AdapterFeatures['subgroupThreads']) =>
    featureVariants({ ...NO_FEATURES, subgroupThreads }).subgroups;
  assert.is(spanOf(undefined), 0);
  assert.is(spanOf({ least: 4, most: 4 }), 4);
  assert.is(spanOf({ least: 8, most: 32 }), 8);
  assert.is(spanOf({ least: 32, most: 32 }), 32);
  assert.is(spanOf({ least: 64, most: 128 }), 32);
});

test('a kernel takes subgroups where it has a use for them and they are large enough', () => {
  const filesOf = (subgroups: number) => acrossThreads(KERNELS.normRows, {}, { ...FEATURELESS, subgroups })[0].files;
  const small = ['step', 'span-subgroups', 'sum-threads', 'maxima-plain', 'quantize-four', 'norm-rows'];
  assert.equal(filesOf(0), KERNELS.normRows.files);
  assert.equal(filesOf(4), small);
  assert.equal(
    filesOf(8),
    small.map((file) => (file === 'maxima-plain' ? 'maxima-subgroups' : file)),
  );
  const { split } = attentionKernels('F32', FEATURELESS);
  const replaced = (threads: number, headDim: number) =>
    acrossThreads(split, { THREADS: threads, HEAD_DIM: headDim }, { ...FEATURELESS, subgroups: 16 })[0].files.includes(
      'tile-weights-subgroups',
    );
  assert.equal([replaced(256, 256), replaced(256, 320), replaced(128, 64)], [true, false, false]);
  const constantsOf = (constants: { THREADS: number }) =>
    acrossThreads(KERNELS.norm, constants, { ...FEATURELESS, subgroups: 32 })[1];
  assert.equal(constantsOf({ THREADS: 64 }), { THREADS: 64, SPAN: 32 });
  assert.equal(constantsOf({ THREADS: 4 }), { THREADS: 4, SPAN: 4 });
});

const [ROWS, HEADS, KV_HEADS, HEAD_DIM] = [9, 4, 2, 64];
/** More than the threads of a norm take at once, not all of them the same number of times. */
const COLS = 1056;
const VOCABULARY = 9000;

/** What every kernel with sums or maxima over threads makes of random rows. */
async function results(device: WebGpuDevice, rows: number): Promise<Float32Array[]> {
  const random = new Random(47);
  const bench = await openBench(device);
  const weight = (outs: number, cols: number) => bench.weight('w', random.floats(outs * cols), cols, 'Q8_0');
  const table = bench.input('x', random.floats(ROWS * COLS), COLS);
  const qkvCols = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
  const qkvTable = bench.input('qkv', random.floats(ROWS * qkvCols), qkvCols);
  const logitTable = bench.input('logits', random.floats(ROWS * VOCABULARY), VOCABULARY);
  const [norm, bias, headNorm] = [COLS, COLS, HEAD_DIM].map((length) => bench.constant(random.floats(length)));
  const rope = bench.constant(random.floats(40 * HEAD_DIM));
  const [next, gateUp, down, output] = [
    await weight(8, COLS),
    await weight(128, COLS),
    await weight(8, 64),
    await weight(8, HEADS * HEAD_DIM),
  ];
  const [x, sum, normed, multiplied, centered, both] = [COLS, COLS, COLS, 8, COLS, 128].map((n) => bench.output(n));
  const [activated, activatedOut, qkv, attended, out] = [64, 8, qkvCols, HEADS * HEAD_DIM, 8].map((n) =>
    bench.output(n),
  );
  const spread = bench.output(VOCABULARY);
  const logits = device.createTensor({ name: 'logits', maxRows: ROWS, cols: VOCABULARY, domain: 'logits' });
  const reduction = device.createReduction(logits);
  const cache = bench.cache({ layers: 1, blocks: 40, kvHeads: KV_HEADS, headDim: HEAD_DIM });
  const step = plainStep(rows, {
    positions: Array.from({ length: rows }, (_, r) => 20 + r),
    blockTables: [[0, 1, 2]],
    reductions: Array.from({ length: rows }, (_, r) => ({ top: 3 * r + 1, scale: 1, picks: [r] })),
  });
  await bench.run((record) => {
    record.embed({ table, out: x });
    record.embed({ table, out: sum });
    record.norm({ x: sum, add: x, weight: norm, eps: 1e-6, out: normed });
    record.linear({ x: normed, weights: [next], out: multiplied });
    record.norm({ x: sum, centered: true, weight: norm, bias, eps: 1e-6, out: centered });
    record.linear({ x: normed, weights: [gateUp], out: both });
    record.gatedActivation({ x: both, activation: 'silu', out: activated });
    record.linear({ x: activated, weights: [down], out: activatedOut });
    record.embed({ table: qkvTable, out: qkv });
    record.ropeAndCache({
      qkv,
      heads: HEADS,
      rotaryDim: HEAD_DIM,
      rope,
      qNorm: headNorm,
      kNorm: headNorm,
      normEps: 1e-6,
      cache,
      layer: 0,
    });
    record.attention({ qkv, heads: HEADS, scale: 0.1, window: 20, cache, layer: 0, out: attended });
    record.linear({ x: attended, weights: [output], out });
    record.embed({ table: logitTable, out: spread });
    record.gatherRows({ x: spread, out: logits });
    record.reduceLogits({ logits, out: reduction });
  }, step);
  const tensors = [normed, multiplied, centered, activated, activatedOut, qkv, attended, out];
  const read = await Promise.all(tensors.map((tensor) => bench.read(tensor, rows)));
  const reduced = (await device.readReduction(reduction)) as ReducedLogits[];
  const listed = reduced.flatMap(({ ids, logits, picked, sumExp }) => [...ids, ...logits, ...picked, sumExp]);
  return [...read, Float32Array.from(listed)];
}

onSubgroups('subgroups of every size up to the adapter’s give the bits of kernels without', async () => {
  const sizes = [4, 8, 16, 32].filter((size) => size <= least);
  for (const rows of [1, ROWS]) {
    const plain = asOnGpu(0);
    const wanted = await results(plain, rows);
    await plain.close();
    assert.ok(wanted.every((values) => values.every((value) => Number.isFinite(value))));
    for (const size of sizes) {
      const other = asOnGpu(size);
      for (const [i, values] of (await results(other, rows)).entries()) {
        assert.ok(sameBits(values, wanted[i]), `subgroups of ${size}, ${rows} rows, result ${i}`);
      }
      await other.close();
    }
  }
});

/** Threads of a subgroup that are numbered otherwise than those of the workgroup, as far as these files can tell. */
const FAULTS: readonly [ShaderName, string, string][] = [
  ['span-subgroups', 'subgroupShuffleXor(sum, 2u)', 'subgroupShuffleXor(sum, 1u)'],
  ['tile-weights-subgroups', 'setWeight(g, thread, scores', 'setWeight(g, thread, 1.1 * scores'],
  ['maxima-subgroups', 'subgroupShuffleXor(value, 1u)', 'subgroupShuffleXor(value, 2u)'],
];
for (const [file, right, wrong] of FAULTS) {
  // The others need the kernels of a GPU, which a CPU compiles for long.
  const variants = file === 'span-subgroups' ? {} : GPU_VARIANTS;
  const isRun = variants !== GPU_VARIANTS || process.env.QUERN_TEST_FULL === '1';
  const isUsed = file === 'maxima-subgroups' ? least >= 8 : least > 0;
  (isRun && isUsed ? test : test.skip)(`the self-check finds a fault in ${file}`, async () => {
    assert.ok(SHADERS[file].includes(right));
    const faulty = device({ ...variants, subgroups: least }, { [file]: SHADERS[file].replace(right, wrong) });
    assert.ok(await findFault(faulty));
    await faulty.close();
  });
}

onSubgroups('an adapter whose subgroups work otherwise runs without them', async () => {
  if (!gpu || !bestVariants(gpu.features).subgroups) return;
  const text = SHADERS['span-subgroups'].replace('sum += subgroupShuffleXor(sum, 1u)', 'sum += sum');
  const device = await WebGpuDevice.create({ shaders: { 'span-subgroups': text } });
  assert.not.match(device.description, /subgroups/);
  await device.close();
});

test.run();
