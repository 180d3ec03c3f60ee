import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Device, DeviceError, type OpRecorder, WebGpuDevice } from '../../kernels/index.ts';
import { linear } from '../../kernels/reference/ops.ts';
import { openAdapter } from '../../kernels/webgpu/adapter.ts';
import { argumentBytes, checkParams, constantParams } from '../../kernels/webgpu/arguments.ts';
import { Gpu, type GpuLimits } from '../../kernels/webgpu/gpu.ts';
import { Pipelines, specialize } from '../../kernels/webgpu/pipelines.ts';
import { findFault } from '../../kernels/webgpu/self-check.ts';
import { SHADERS, type ShaderName } from '../../kernels/webgpu/shaders.ts';
import { type TunedTiles, tiledKernels, tileKey } from '../../kernels/webgpu/tuned-tiles.ts';
import { bestVariants, GPU_VARIANTS, stepDowns } from '../../kernels/webgpu/variants.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { SHADER_MODULE, shaderModule } from './embed-shaders.ts';
import { maxDifference, openBench, plainStep, sameBits } from './harness.ts';

const test = suite('webgpu device');

/** Runs a test where there is an adapter; `testGpu` says so where there is none. */
const onGpu = (await testGpu()) ? test : test.skip;

/** A GPU of its own, for a test that tightens its limits or loses it. */
async function open(limits: Partial<GpuLimits> = {}): Promise<{ gpu: Gpu; device: Device }> {
  const gpu = new Gpu(await openAdapter('any'), limits);
  return { gpu, device: WebGpuDevice.share(gpu, new Pipelines(gpu), bestVariants(gpu.features)) };
}

async function message(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    assert.instance(error, DeviceError);
    return (error as Error).message;
  }
  return 'nothing thrown';
}

/** A WGSL file with a fault in it. */
function planted(name: ShaderName, right: string, wrong: string): string {
  assert.ok(SHADERS[name].includes(right));
  return SHADERS[name].replace(right, wrong);
}

test('the embedded shaders are those of the files: npm run shaders', () => {
  assert.is(readFileSync(SHADER_MODULE, 'utf8'), shaderModule());
});

test('a constant of a kernel is set where it is declared, once', () => {
  const text = 'const TILE: u32 = 32u;\nconst FLAG: bool = false;\n';
  assert.is(specialize('k', text, { TILE: 8, FLAG: true }), 'const TILE: u32 = 8u;\nconst FLAG: bool = true;\n');
  assert.throws(() => specialize('k', text, { SIZE: 8 }), /0 declarations of const SIZE/);
});

test('arguments are those that a kernel’s struct declares, and are the same in a buffer as in its text', () => {
  const args = [7, { float: 1e-6 }, { float: -3 }];
  checkParams('k', 'struct Params {\n  cols: u32,\n  // Added.\n  eps: f32,\n  limit: f32,\n}\n', args);
  assert.throws(() => checkParams('k', 'struct Params {\n  cols: u32,\n}\n', args), /kernel k: arguments u32,f32,f32/);
  assert.is(constantParams(args), 'const params = Params(7u, 9.999999974752427e-7f, -3f);');
  assert.equal(new Uint32Array(argumentBytes(args)), Uint32Array.of(7, 0x358637bd, 0xc0400000));
});

onGpu('an adapter passes its self-check, and says what it is', async () => {
  const device = await WebGpuDevice.create();
  assert.match(device.description, /^webgpu \(.+, (packed|plain) integer products/);
  await device.close();
});

onGpu('a kernel that computes wrongly is refused by name', async () => {
  const norm = planted('norm', '(x[at + i] - shift) * scale', '(x[at + i] - shift) * 1.01 * scale');
  const text = await message(() => WebGpuDevice.create({ shaders: { norm } }));
  assert.match(text, /kernel norm computes wrongly on .+: off by 1\.0% of the greatest value/);
});

onGpu('kernels for keys and values in bytes are checked, too', async () => {
  const text = planted('cache-i8', 'bitcast<f32>(keys[at + inPage])', '1.02 * bitcast<f32>(keys[at + inPage])');
  const gpu = (await testGpu()) as Gpu;
  const pipelines = new Pipelines(gpu, { 'cache-i8': text });
  const device = WebGpuDevice.share(gpu, pipelines, bestVariants(gpu.features));
  const fault = await findFault(device);
  assert.is(fault?.kernel, 'ropeAndCache and attention, I8');
  await device.close();
});

onGpu('an adapter steps down to plainer kernels where its best ones compute wrongly', async () => {
  const dotPacked = planted('dot-packed', 'dot4I8Packed(a, b)', 'dot4I8Packed(a, b) + 1');
  const device = await WebGpuDevice.create({ shaders: { 'dot-packed': dotPacked } });
  assert.match(device.description, /plain integer products/);
  await device.close();
});

onGpu('kernels with immediates are checked, and arguments in a buffer stand in for them', async () => {
  const gpu = (await testGpu()) as Gpu;
  if (gpu.features.immediateBytes === 0) return;
  const root = 'fn inverseSqrt(x: f32) -> f32 {\n  return 1.01 / sqrt(x);\n}\n';
  const pipelines = new Pipelines(gpu, { 'params-immediate': SHADERS['params-immediate'] + root });
  const best = { ...bestVariants(gpu.features), constantArguments: false };
  const faults = [];
  for (const variants of [
    best,
    ...stepDowns(best)
      .filter(({ immediates }) => !immediates)
      .slice(0, 1),
  ]) {
    const device = WebGpuDevice.share(gpu, pipelines, variants);
    faults.push((await findFault(device))?.kernel);
    await device.close();
  }
  assert.equal(faults, ['norm', undefined]);
});

onGpu('an adapter steps down to plainer kernels where its best ones do not compile', async () => {
  const dotPacked = planted('dot-packed', 'dot4I8Packed(a, b)', 'dotFourBytes(a, b)');
  const device = await WebGpuDevice.create({ shaders: { 'dot-packed': dotPacked } });
  assert.match(device.description, /plain integer products/);
  await device.close();
});

// A CPU takes half a minute to compile what a GPU runs.
const inFull = process.env.QUERN_TEST_FULL === '1' ? onGpu : test.skip;
inFull('where the last workgroup ends heads wrongly, heads are ended by a kernel of their own', async () => {
  const text = planted(
    'linear-heads',
    'handOver(HANDOVER + r * params.outStride + o, total)',
    'handOver(HANDOVER + r * params.outStride + o, 1.01 * total)',
  );
  const gpu = (await testGpu()) as Gpu;
  const pipelines = new Pipelines(gpu, { 'linear-heads': text });
  const best = { ...bestVariants(gpu.features), ...GPU_VARIANTS, compileAhead: false };
  const faults: (string | undefined)[] = [];
  for (const variants of [best, { ...best, handover: false }]) {
    const device = WebGpuDevice.share(gpu, pipelines, variants);
    faults.push((await findFault(device))?.kernel);
    await device.close();
  }
  assert.equal(faults, ['linear F16, ropeAndCache and attention, F32', undefined]);
  assert.ok(stepDowns(best).some(({ handover, fused }) => fused && !handover));
});

onGpu('a kernel that does not compile is refused with the compiler’s message', async () => {
  const text = await message(() => WebGpuDevice.create({ shaders: { norm: `${SHADERS.norm}\nfn broken(` } }));
  assert.match(text, /kernel norm does not compile: .*error/s);
});

onGpu('tuned tiles of this adapter and these kernels are used, with the same bits', async () => {
  const { description } = (await testGpu())!.features;
  const [cols, outs] = [256, 70];
  const tiles = { [tileKey('Q8_0', outs, cols)]: { threads: 64, outs: 4, loads: 16 } };
  const tuned = { adapter: description, kernels: tiledKernels(), tiles };
  const cases: [tunedTiles: TunedTiles | undefined, areUsed: boolean][] = [
    [undefined, false],
    [tuned, true],
    [{ ...tuned, adapter: 'another' }, false],
    [{ ...tuned, kernels: '00000000' }, false],
  ];
  const results: Float32Array[] = [];
  for (const [tunedTiles, areUsed] of cases) {
    const device = await WebGpuDevice.create({ tunedTiles, variants: { plainLinear: false, compileAhead: false } });
    assert.is(device.description.includes('tuned tiles'), areUsed);
    const random = new Random(41);
    const bench = await openBench(device);
    const weight = await bench.weight('w', random.floats(outs * cols), cols, 'Q8_0');
    const table = bench.input('x', random.floats(cols), cols);
    const [x, out] = [bench.output(cols), bench.output(outs)];
    const ops = (record: OpRecorder) => {
      record.embed({ table, out: x });
      record.linear({ x, weights: [weight], out });
    };
    await bench.run(ops, plainStep(1));
    results.push(await bench.read(out, 1));
    await device.close();
  }
  assert.ok(results[0].some((value) => value !== 0));
  assert.ok(results.every((result) => sameBits(result, results[0])));
});

onGpu('tuned tiles that are none are refused', async () => {
  const tunedTiles = { adapter: 'any', kernels: tiledKernels(), tiles: { 'Q8_0 32×32': { threads: 65 } } } as never;
  assert.match(
    await message(() => WebGpuDevice.create({ tunedTiles })),
    /threads of Q8_0 32×32 is 65; expected one of/,
  );
});

onGpu('experts larger than a binding are split, with the same bits', async () => {
  const [experts, perToken, cols, outs, rows] = [5, 2, 64, 30, 7];
  const results: Float32Array[] = [];
  for (const limits of [{}, { bufferBytes: 16000 }]) {
    const random = new Random(37);
    const { gpu, device } = await open(limits);
    const bench = await openBench(device);
    const table = bench.input('x', random.floats(rows * cols), cols);
    const scoreTable = bench.input('scores', random.floats(rows * experts), experts);
    const weight = device.createWeight({ name: 'w', rows: experts * outs, cols, format: 'F32', matrices: experts });
    await device.writeWeight(weight, 0, new Uint8Array(random.floats(experts * outs * cols).buffer), 'F32');
    const bias = bench.constant(random.floats(experts * outs));
    const routes = device.createRoutes({ experts, perToken });
    const [x, scores, out] = [bench.output(cols), bench.output(experts), bench.output(outs)];
    const each = device.createTensor({ name: 'each', maxRows: 2 * rows, cols, perRow: 2 });
    const result = device.createTensor({ name: 'result', maxRows: 2 * rows, cols: outs, perRow: 2 });
    const ops = (record: OpRecorder) => {
      record.embed({ table, out: x });
      record.embed({ table: scoreTable, out: scores });
      record.route({ scores, normalize: true, routes });
      record.gatherRoutes({ x, routes, out: each });
      record.expertLinear({ x: each, routes, weights: [weight], bias, out: result });
      record.mixRoutes({ x: result, routes, out });
    };
    await device.run(device.record(rows, ops), plainStep(rows));
    results.push(await bench.read(out, rows));
    await device.close();
    gpu.close();
  }
  assert.ok(results[0].every((value) => Number.isFinite(value) && value !== 0));
  assert.ok(sameBits(results[0], results[1]));
});

onGpu('weights larger than a binding are split, and many workgroups are folded, with the same bits', async () => {
  const random = new Random(31);
  const [cols, outs, rows] = [64, 150, 11];
  const x = random.floats(rows * cols);
  const w = random.floats(outs * cols);
  const results: Float32Array[] = [];
  for (const limits of [{}, { bufferBytes: 30000, workgroupsPerDimension: 3 }]) {
    const { gpu, device } = await open(limits);
    const bench = await openBench(device);
    const weight = await bench.weight('w', w, cols, 'F32');
    const table = bench.input('x', x, cols);
    const looked = bench.output(cols);
    const [input, out] = [bench.output(cols), bench.output(outs)];
    const ops = (record: OpRecorder) => {
      record.embed({ table: weight, out: looked });
      record.embed({ table, out: input });
      record.linear({ x: input, weights: [weight], out });
    };
    // The first run fills the outputs with NaN through tables of their own, which the tight limits would not take.
    await device.run(device.record(rows, ops), plainStep(rows));
    results.push(await bench.read(out, rows), await bench.read(looked, rows));
    await device.close();
    gpu.close();
  }
  assert.ok(maxDifference(results[0], linear(x, w, undefined, rows, cols)) < 1e-4);
  assert.ok(sameBits(results[0], results[2]));
  assert.ok(sameBits(results[1], results[3]));
});

onGpu('what does not fit a buffer is refused with both sizes', async () => {
  const { gpu, device } = await open({ bufferBytes: 4096 });
  const tensor = () => device.createTensor({ name: 'wide', maxRows: 8, cols: 1024 });
  assert.match(await message(tensor), /tensor wide: 32768 bytes exceed the 4096 of one buffer/);
  const weight = () => device.createWeight({ name: 'w', rows: 2, cols: 2048, format: 'F32' });
  assert.match(await message(weight), /weight w: a row of 8192 bytes exceeds a buffer/);
  gpu.close();
});

onGpu('weights side by side take one dispatch, however often they are recorded', async () => {
  const random = new Random(32);
  const { gpu, device } = await open();
  const bench = await openBench(device);
  const [q, k] = await Promise.all([6, 3].map((outs) => bench.weight('w', random.floats(outs * 32), 32, 'Q8_0')));
  const [x, both, one] = [bench.output(32), bench.output(9), bench.output(3)];
  const table = bench.input('x', random.floats(2 * 32), 32);
  const ops = (record: OpRecorder) => {
    record.embed({ table, out: x });
    record.linear({ x, weights: [q, k], out: both });
    record.linear({ x, weights: [k], out: one });
  };
  for (let i = 0; i < 2; i++) await bench.run(ops, plainStep(2));
  const [joined, alone] = [await bench.read(both, 2), await bench.read(one, 2)];
  for (let r = 0; r < 2; r++) {
    assert.ok(sameBits(joined.slice(r * 9 + 6, r * 9 + 9), alone.slice(r * 3, r * 3 + 3)), `row ${r}`);
  }
  await device.close();
  gpu.close();
});

onGpu('a lost device ends what waits for it and refuses what comes after, in the same words', async () => {
  const { gpu, device } = await open();
  const bench = await openBench(device);
  const out = bench.output(32);
  const table = bench.input('x', new Float32Array(64), 32);
  await bench.run((record) => record.embed({ table, out }), plainStep(2));
  const waiting = message(() => device.read(out, 2));
  gpu.device.destroy();
  await gpu.device.lost;
  assert.match(await waiting, /was lost|nothing thrown/);
  assert.match(await message(() => device.read(out, 2)), /^device webgpu: .+ was lost: /);
  assert.match(await message(() => device.createTensor({ name: 't', maxRows: 1, cols: 1 })), /was lost/);
  await device.close();
});

test.run();
