/** Linear for many rows by matrix units: which of an adapter's are taken, and that they give the bits of the other kernels. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type OpRecorder, quantize, WebGpuDevice } from '../../kernels/index.ts';
import type { AdapterFeatures, MatrixShape } from '../../kernels/webgpu/adapter.ts';
import type { Gpu } from '../../kernels/webgpu/gpu.ts';
import { linearMatrixKernel } from '../../kernels/webgpu/kernels.ts';
import { chooseMatrixUnits, type MatrixUnits, matrixTile } from '../../kernels/webgpu/matrix-tile.ts';
import { Pipelines, specialize, unrolled } from '../../kernels/webgpu/pipelines.ts';
import { findFault } from '../../kernels/webgpu/self-check.ts';
import { SHADERS } from '../../kernels/webgpu/shaders.ts';
import { featureVariants, GPU_VARIANTS, stepDowns, type Variants } from '../../kernels/webgpu/variants.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { openBench, plainStep, sameBits, wholeBlocks } from './harness.ts';

const test = suite('matrix units');
const gpu = await testGpu();
const units = gpu && chooseMatrixUnits(gpu.features);
if (gpu && !units) console.log('note: matrix units are not tested: the adapter has none for bytes');
const onMatrices = units ? test : test.skip;

const variants = (): Variants => ({
  ...featureVariants((gpu as Gpu).features),
  ...GPU_VARIANTS,
  compileAhead: false,
});

function featuresWith(shapes: readonly string[], threads: [least: number, most: number] | undefined): AdapterFeatures {
  const matrixShapes = shapes.map((shape) => {
    const [component, m, n, k] = shape.split(/[ x]/);
    const result = component.startsWith('f') ? 'f32' : `${component[0]}32`;
    return { component, result, m: Number(m), n: Number(n), k: Number(k) } as MatrixShape;
  });
  return {
    description: 'an adapter',
    packedDot: true,
    subgroupThreads: threads && { least: threads[0], most: threads[1] },
    halves: false,
    matrixShapes,
    immediateBytes: 0,
    software: false,
    timestamps: false,
  };
}

test('of units for signed bytes the one of most columns is taken, then the narrowest', () => {
  const chosen = (...shapes: string[]) => chooseMatrixUnits(featuresWith(shapes, [32, 32]));
  assert.equal(chosen('i8 16x16x32', 'i8 16x8x32', 'u8 16x8x32'), {
    component: 'i8',
    result: 'i32',
    m: 16,
    n: 8,
    k: 32,
    subgroupThreads: 32,
  });
  assert.is(chosen('i8 8x8x8', 'i8 16x16x16')?.k, 16);
  assert.is(chosen('u8 16x16x32', 'f16 16x16x16'), undefined, 'no signed bytes');
  assert.is(chosen('i8 16x16x64'), undefined, 'more columns than a block');
  assert.is(chooseMatrixUnits(featuresWith(['i8 8x8x8'], undefined)), undefined, 'no subgroups');
});

test('a tile is cut so that each subgroup has a part, and into whole matrices', () => {
  const strip = (shape: string, threads: number, rows: number, outs: number) => {
    const found = chooseMatrixUnits(featuresWith([shape], [threads, threads]));
    const { TILE_ROWS, STRIP } = matrixTile(found as NonNullable<typeof found>, rows, outs);
    return [TILE_ROWS, STRIP];
  };
  assert.equal(strip('i8 16x8x32', 32, 64, 32), [64, 4], 'four subgroups with 16 rows each');
  assert.equal(strip('i8 16x8x32', 32, 16, 32), [16, 1], 'four subgroups with a matrix each');
  assert.equal(strip('i8 8x8x8', 8, 64, 32), [64, 2], 'sixteen subgroups');
  assert.equal(strip('i8 8x16x32', 16, 64, 32), [64, 2], 'eight subgroups');
  assert.equal(strip('i8 32x8x16', 64, 16, 32), [32, 2], 'rows of a matrix are not cut');
});

/** Of each way to read codes and to scale products. */
const FORMATS = ['Q8_0', 'Q4_0', 'Q5_K', 'MXFP4'] as const;

/** Rows of x, least columns, rows of the weight: both tiles, ragged either way, one segment and several, some with a rest. */
const SHAPES = [
  [9, 32, 8],
  [16, 96, 33],
  [33, 64, 31],
  [40, 1120, 70],
] as const;

for (const { formats, ...tile } of [
  { formats: FORMATS },
  { formats: ['Q4_K'] as const, tileRows: 32, tileOuts: 128 },
]) {
  onMatrices(`products by matrix units have the bits of those without, tile ${JSON.stringify(tile)}`, async () => {
    const pipelines = new Pipelines(gpu as Gpu);
    const found: Float32Array[][] = [];
    for (const matrices of [units, undefined]) {
      const device = WebGpuDevice.share(gpu as Gpu, pipelines, { ...variants(), ...tile, matrices });
      const bench = await openBench(device);
      const random = new Random(51);
      const results: Float32Array[] = [];
      for (const format of formats) {
        for (const [rows, width, outs] of SHAPES) {
          const cols = wholeBlocks(format, width);
          const table = bench.input('x', random.floats(rows * cols), cols);
          const weight = await bench.weight('w', random.floats(outs * cols), cols, format);
          const bias = bench.constant(random.floats(outs));
          const [x, out] = [bench.output(cols), bench.output(outs)];
          const ops = (record: OpRecorder) => {
            record.embed({ table, out: x });
            record.linear({ x, weights: [weight], bias, out });
          };
          await bench.run(ops, plainStep(rows));
          results.push(await bench.read(out, rows));
          // A row alone takes the kernel for few rows, matrix units or none.
          await device.run(device.record(1, ops), plainStep(1));
          const first = await bench.read(out, 1);
          assert.ok(sameBits(first, results[results.length - 1].slice(0, outs)), `${format}, a row alone`);
        }
      }
      found.push(results);
      await device.close();
    }
    for (const [i, values] of found[0].entries()) {
      assert.ok(values.every(Number.isFinite) && sameBits(values, found[1][i]), `case ${i}`);
    }
  });
}

onMatrices('the kernel compiles for the units of other GPUs', async () => {
  const { device } = gpu as Gpu;
  for (const [m, n, k] of [
    [16, 8, 32],
    [16, 16, 32],
    [16, 16, 16],
    [8, 16, 32],
  ]) {
    const kernel = linearMatrixKernel('Q4_0', k, variants());
    const constants = matrixTile({ ...(units as MatrixUnits), m, n, k }, 64, 32);
    const text = [...kernel.files, 'params-uniform' as const].map((file) => SHADERS[file]).join('\n');
    device.pushErrorScope('validation');
    device.createShaderModule({ code: unrolled(specialize(kernel.name, text, constants)) });
    assert.is((await device.popErrorScope())?.message, undefined, `${m}×${n}×${k}`);
  }
});

onMatrices('experts of many routes by matrix units have the bits of those without', async () => {
  const [experts, perToken, cols, outs, rows] = [3, 2, 160, 45, 40];
  const pipelines = new Pipelines(gpu as Gpu);
  const found: Float32Array[] = [];
  for (const matrices of [units, undefined]) {
    const device = WebGpuDevice.share(gpu as Gpu, pipelines, { ...variants(), matrices });
    const bench = await openBench(device);
    const random = new Random(52);
    const table = bench.input('x', random.floats(rows * cols), cols);
    // All go to the first expert, more than a tile holds; and to one of the others.
    const scoreTable = bench.input(
      'scores',
      Float32Array.from({ length: rows * experts }, (_, i) => (i % experts === 0 ? 9 : random.floats(1)[0])),
      experts,
    );
    const weight = device.createWeight({ name: 'w', rows: experts * outs, cols, format: 'Q4_0', matrices: experts });
    await device.writeWeight(weight, 0, quantize('Q4_0', random.floats(experts * outs * cols)), 'Q4_0');
    const bias = bench.constant(random.floats(experts * outs));
    const routes = device.createRoutes({ experts, perToken });
    const [x, scores, out] = [bench.output(cols), bench.output(experts), bench.output(outs)];
    const each = device.createTensor({ name: 'each', maxRows: perToken * rows, cols, perRow: perToken });
    const result = device.createTensor({ name: 'result', maxRows: perToken * rows, cols: outs, perRow: perToken });
    const ops = (record: OpRecorder) => {
      record.embed({ table, out: x });
      record.embed({ table: scoreTable, out: scores });
      record.route({ scores, normalize: true, routes });
      record.gatherRoutes({ x, routes, out: each });
      record.expertLinear({ x: each, routes, weights: [weight], bias, out: result });
      record.mixRoutes({ x: result, routes, out });
    };
    await bench.run(ops, plainStep(rows));
    found.push(await bench.read(out, rows));
    await device.close();
  }
  assert.ok(found[0].every(Number.isFinite) && sameBits(found[0], found[1]));
});

onMatrices('a fault of the matrix units is found, and is gone without them', async () => {
  const best = variants();
  const without = stepDowns(best).find((other) => !other.matrices && other.packedDot === best.packedDot);
  assert.ok(without);
  for (const [file, right, wrong, family] of [
    ['matrix-tile', 'exact.y, scales[1]', 'exact.y + 9, scales[1]', 'linear Q8_0'],
    ['expert-many-matrices', 'results[i][j]', '1.01 * results[i][j]', 'experts Q8_0 and gatedActivation'],
  ] as const) {
    assert.ok(SHADERS[file].includes(right));
    const pipelines = new Pipelines(gpu as Gpu, { [file]: SHADERS[file].replace(right, wrong) });
    const faults: (string | undefined)[] = [];
    for (const one of [best, without as Variants]) {
      const device = WebGpuDevice.share(gpu as Gpu, pipelines, one);
      faults.push((await findFault(device))?.kernel);
      await device.close();
    }
    assert.equal(faults, [family, undefined]);
  }
});

test.run();
