/** What adapters limit: bytes of a buffer, workgroups of a dispatch, workgroup memory, storage buffers, memory as such. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  blockShape,
  type Device,
  DeviceError,
  type KvFormat,
  type OpRecorder,
  quantize,
  WebGpuDevice,
  type Weight,
} from '../../kernels/index.ts';
import { linear } from '../../kernels/reference/ops.ts';
import { openAdapter } from '../../kernels/webgpu/adapter.ts';
import { Gpu, type GpuLimits } from '../../kernels/webgpu/gpu.ts';
import type { Kernel, KernelConstants } from '../../kernels/webgpu/kernels.ts';
import { Pipelines, specialize } from '../../kernels/webgpu/pipelines.ts';
import { SHADERS } from '../../kernels/webgpu/shaders.ts';
import {
  bestVariants,
  FEATURELESS,
  GPU_VARIANTS,
  PLAIN_VARIANTS,
  UNFUSED_VARIANTS,
  type Variants,
} from '../../kernels/webgpu/variants.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { maxDifference, plainStep, rounded, sameBits } from './harness.ts';
import { demandsOf, GRANTED } from './wgsl-demands.ts';

const test = suite('webgpu limits');
const onGpu = (await testGpu()) ? test : test.skip;

async function open(limits: Partial<GpuLimits>, variants: Partial<Variants> = {}, immediateBytes = 64) {
  const { features, ...adapter } = await openAdapter('any');
  const bytes = Math.min(features.immediateBytes, immediateBytes);
  const gpu = new Gpu({ ...adapter, features: { ...features, immediateBytes: bytes } }, limits);
  const device = WebGpuDevice.share(gpu, new Pipelines(gpu), { ...bestVariants(gpu.features), ...variants });
  return { gpu, device };
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

const FORMATS = [
  'F32',
  'F16',
  'BF16',
  'Q8_0',
  'Q4_0',
  'Q4_1',
  'Q5_1',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'IQ4_NL',
  'MXFP4',
] as const;
type Format = (typeof FORMATS)[number];

/** Notes what would be compiled, and compiles nothing. */
class NotingPipelines extends Pipelines {
  readonly noted = new Map<string, { readonly kernel: Kernel; readonly constants: KernelConstants }>();

  override compile(kernel: Kernel, constants: KernelConstants = {}): Promise<GPUComputePipeline> {
    this.noted.set(`${kernel.name} ${JSON.stringify(constants)}`, { kernel, constants });
    return new Promise(() => undefined);
  }
}

interface LayerShape {
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly ffn: number;
  readonly format: Format;
  readonly cacheFormat?: KvFormat;
}

/** Beside weights of some formats. */
const CACHES: Partial<Record<Format, KvFormat>> = { F16: 'F16', Q8_0: 'F16', Q4_K: 'I8' };
const LOGIT_ROWS = 2;

/** Every op once and more, with weights side by side and experts. */
function recordLayer(device: Device, shape: LayerShape, maxRows: number, make: MakeWeight) {
  const { hidden, heads, kvHeads, headDim, ffn, format, cacheFormat } = shape;
  const vocab = 1000;
  const tensor = (cols: number, perRow = 1) =>
    device.createTensor({ name: 'activations', maxRows: perRow * maxRows, cols, perRow });
  const constant = (length: number) =>
    device.createConstant(
      'constant',
      Float32Array.from({ length }, (_, i) => Math.cos(i)),
    );
  const cache = device.createKvCache({ layers: 1, blocks: 2, kvHeads, headDim, format: cacheFormat });
  const routes = device.createRoutes({ experts: 4, perToken: 2 });
  const [x, normed, added] = [tensor(hidden), tensor(hidden), tensor(hidden)];
  const [qkv, turned] = [tensor((heads + 2 * kvHeads) * headDim), tensor((heads + 2 * kvHeads) * headDim)];
  const [attended, gateUp, activated, scores] = [tensor(heads * headDim), tensor(2 * ffn), tensor(ffn), tensor(4)];
  const [each, expertGateUp, expertActivated, result] = [hidden, ffn, ffn / 2, hidden].map((cols) => tensor(cols, 2));
  const [last, logits] = [hidden, vocab].map((cols) =>
    device.createTensor({ name: 'logits', maxRows: LOGIT_ROWS, cols, domain: 'logits' }),
  );
  const reduction = device.createReduction(logits);
  const [table, norm, headNorm, rope] = [
    make(format, vocab, hidden),
    constant(hidden),
    constant(headDim),
    constant(32 * headDim),
  ];
  const projections = [heads, kvHeads, kvHeads].map((count) => make(format, count * headDim, hidden));
  const [output, router] = [make(format, hidden, heads * headDim), make('F32', 4, hidden)];
  const [gate, up, down] = [make(format, ffn, hidden), make(format, ffn, hidden), make(format, hidden, ffn)];
  const [gates, ups, downs] = [
    make(format, 2 * ffn, hidden, 4),
    make(format, 2 * ffn, hidden, 4),
    make(format, 4 * hidden, ffn / 2, 4),
  ];
  const sinks = constant(heads);
  const ops = (record: OpRecorder) => {
    const attention = { heads, scale: 0.1, cache, layer: 0, out: attended };
    record.embed({ table, out: x });
    record.norm({ x, weight: norm, eps: 1e-6, out: normed });
    record.linear({ x: normed, weights: projections, out: qkv });
    record.ropeAndCache({ qkv, heads, rotaryDim: headDim, rope, cache, layer: 0 });
    record.attention({ qkv, ...attention });
    record.linear({ x: attended, weights: [output], out: added });
    record.norm({ x, add: added, centered: true, weight: norm, bias: norm, eps: 1e-6, out: normed });
    record.linear({ x: normed, weights: projections, bias: constant(qkv.cols), out: turned });
    record.ropeAndCache({
      qkv: turned,
      heads,
      rotaryDim: headDim,
      rope,
      qNorm: headNorm,
      kNorm: headNorm,
      normEps: 1e-6,
      cache,
      layer: 0,
    });
    record.attention({ qkv: turned, ...attention, window: 3, softcap: 20, sinks });
    record.linear({ x: attended, weights: [output], out: added });
    record.norm({ x, add: added, weight: norm, eps: 1e-6, out: normed });
    record.linear({ x: normed, weights: [gate, up], out: gateUp });
    record.gatedActivation({ x: gateUp, activation: 'silu', out: activated });
    record.linear({ x: activated, weights: [down], out: added });
    record.activation({ x: added, activation: 'gelu', out: added });
    record.addScaled({ x, add: added, scale: 0.5 });
    record.norm({ x, weight: norm, eps: 1e-6, out: normed });
    record.linear({ x: normed, weights: [router], out: scores });
    record.route({ scores, normalize: true, routes });
    record.gatherRoutes({ x: normed, routes, out: each });
    record.expertLinear({ x: each, routes, weights: [gates, ups], out: expertGateUp });
    record.gatedActivation({ x: expertGateUp, activation: 'silu', out: expertActivated });
    record.expertLinear({ x: expertActivated, routes, weights: [downs], out: result });
    record.mixRoutes({ x: result, routes, out: added });
    record.norm({ x, add: added, weight: norm, eps: 1e-6, out: normed });
    record.gatherRows({ x: normed, out: last });
    record.linear({ x: last, weights: [table], out: logits });
    record.scaleAndCap({ x: logits, scale: 0.5, cap: 30 });
    record.reduceLogits({ logits, out: reduction });
  };
  return { plan: device.record(maxRows, ops), attended, logits, reduction };
}

type MakeWeight = (format: Format, rows: number, cols: number, matrices?: number) => Weight;

/** Rows, columns and depth of the products that matrix units of GPUs and of Mesa's llvmpipe compute. */
const MATRIX_SHAPES = [
  [16, 8, 32],
  [16, 16, 16],
  [8, 8, 8],
] as const;

onGpu('every kernel of every variant fits what WebGPU grants everywhere', async () => {
  const gpu = (await testGpu()) as Gpu;
  const pipelines = new NotingPipelines(gpu);
  const none: Variants = { ...FEATURELESS, ...GPU_VARIANTS };
  const features = { ...none, packedDot: true, halves: true, immediates: true };
  const byMatrices = MATRIX_SHAPES.map(([m, n, k]): Variants => {
    const matrices = { component: 'i8', result: 'i32', m, n, k, subgroupThreads: 32 } as const;
    return { ...features, matrices };
  });
  const bySubgroups = [4, 8, 32].map((subgroups) => ({ ...features, subgroups }));
  const variants = [
    none,
    features,
    ...byMatrices,
    ...bySubgroups,
    { ...features, lastNorm: true },
    { ...features, ...UNFUSED_VARIANTS },
    PLAIN_VARIANTS,
  ];
  const shapes: Omit<LayerShape, 'format'>[] = [
    { hidden: 256, heads: 1, kvHeads: 1, headDim: 32, ffn: 256 },
    { hidden: 256, heads: 64, kvHeads: 1, headDim: 64, ffn: 256 },
    { hidden: 256, heads: 14, kvHeads: 2, headDim: 80, ffn: 8192 },
    { hidden: 8192, heads: 6, kvHeads: 1, headDim: 128, ffn: 256 },
    { hidden: 512, heads: 6, kvHeads: 2, headDim: 192, ffn: 2048 },
    { hidden: 2304, heads: 8, kvHeads: 4, headDim: 256, ffn: 512 },
    { hidden: 256, heads: 8, kvHeads: 1, headDim: 320, ffn: 256 },
  ];
  for (const variant of variants) {
    // Matrix units are a matter of one kernel, whose constants are those of the tile alone.
    for (const [i, shape] of shapes.slice(0, variant.matrices ? 1 : undefined).entries()) {
      for (const format of i === 0 ? FORMATS : (['F32', 'Q8_0', 'Q4_K'] as const)) {
        const device = WebGpuDevice.share(gpu, pipelines, { ...variant, compileAhead: true });
        device.setStepLimits({ maxRows: 40, maxLogitRows: LOGIT_ROWS, maxSlots: 1, maxBlocksPerSlot: 64 });
        // Blocks of 256 do not divide every width.
        const make: MakeWeight = (wanted, rows, cols, matrices) => {
          const own = cols % blockShape(wanted).elements === 0 ? wanted : 'Q8_0';
          return device.createWeight({ name: 'w', rows, cols, format: own, matrices });
        };
        recordLayer(device, { ...shape, format, cacheFormat: CACHES[format] }, 40, make);
        await device.close();
      }
    }
  }
  assert.ok(pipelines.noted.size > 300, `${pipelines.noted.size} kernels`);
  for (const [name, { kernel, constants }] of pipelines.noted) {
    const text = kernel.files.map((file) => SHADERS[file]).join('\n');
    const demands = {
      ...demandsOf(specialize(kernel.name, text, constants)),
      storageBuffers: 1 + kernel.bindings.filter((kind) => kind !== 'uniform').length,
    };
    for (const [what, granted] of Object.entries(GRANTED)) {
      const asked = demands[what as keyof typeof GRANTED];
      assert.ok(asked > 0 || what === 'workgroupBytes', `${name}: no ${what} found`);
      assert.ok(asked <= granted, `${name}: ${asked} ${what}, ${granted} granted`);
    }
  }
});

/** What a layer comes to on a GPU of those limits. */
async function layerResults(limits: Partial<GpuLimits>, variants: Partial<Variants>, immediateBytes?: number) {
  const shape = { hidden: 96, heads: 8, kvHeads: 2, headDim: 64, ffn: 512, format: 'Q8_0' } as const;
  const rows = 12;
  const { gpu, device } = await open(limits, variants, immediateBytes);
  device.setStepLimits({ maxRows: rows, maxLogitRows: LOGIT_ROWS, maxSlots: 1, maxBlocksPerSlot: 2 });
  const random = new Random(41);
  const written: Promise<void>[] = [];
  let parts = 0;
  const { plan, attended, logits, reduction } = recordLayer(device, shape, rows, (format, outs, cols, matrices) => {
    const weight = device.createWeight({ name: 'w', rows: outs, cols, format, matrices });
    parts = Math.max(parts, (weight as unknown as { parts: unknown[] }).parts.length);
    const values = quantize(
      format,
      random.floats(outs * cols).map((value) => value / 4),
    );
    written.push(device.writeWeight(weight, 0, values, format));
    return weight;
  });
  await Promise.all(written);
  assert.is(parts > 1, 'bufferBytes' in limits);
  const asked = { top: 3, scale: 1, picks: [5, 999] };
  const positions = Array.from({ length: rows }, (_, r) => r);
  const tokens = positions.map((r) => (r * 91) % 1000);
  await device.run(
    plan,
    plainStep(rows, { tokens, positions, blockTables: [[1]], logitRows: [3, 11], reductions: [asked, asked] }),
  );
  const result = {
    attended: await device.read(attended, rows),
    logits: await device.read(logits, LOGIT_ROWS),
    reduced: await device.readReduction(reduction),
  };
  await device.close();
  gpu.close();
  assert.ok(result.logits.every((value) => Number.isFinite(value)) && new Set(result.logits).size > 1000);
  return result;
}

type LayerResults = Awaited<ReturnType<typeof layerResults>>;

function assertSame(found: LayerResults, wanted: LayerResults): void {
  assert.ok(sameBits(found.attended, wanted.attended));
  assert.ok(sameBits(found.logits, wanted.logits));
  assert.equal(found.reduced, wanted.reduced);
}

const VARIANTS: { name: string; variants: Partial<Variants> }[] = [{ name: '', variants: {} }];
if (process.env.QUERN_TEST_FULL === '1') VARIANTS.push({ name: ', as on a GPU', variants: GPU_VARIANTS });

for (const { name, variants } of VARIANTS) {
  onGpu(`a layer is split to buffers and folded to workgroups, with the same bits${name}`, async () => {
    const whole = await layerResults({}, variants);
    assertSame(await layerResults({ bufferBytes: 50_000, workgroupsPerDimension: 3 }, variants), whole);
  });

  onGpu(
    `arguments in a buffer and in immediates give the same bits, in the kernels’ text the same values${name}`,
    async () => {
      const plain = await layerResults({}, { ...variants, immediates: false, constantArguments: false });
      const { immediateBytes } = ((await testGpu()) as Gpu).features;
      const immediates = { ...variants, immediates: immediateBytes > 0, constantArguments: false };
      assertSame(await layerResults({}, immediates), plain);
      // Some kernels have more arguments than five: theirs are in a buffer then.
      assertSame(await layerResults({}, immediates, 20), plain);
      // A compiler that knows a divisor may multiply instead.
      const { logits, reduced } = await layerResults({}, { ...variants, constantArguments: true });
      assert.ok(maxDifference(logits, plain.logits) < 1e-5);
      assert.equal(
        reduced.map((row) => row?.ids),
        plain.reduced.map((row) => row?.ids),
      );
    },
  );
}

onGpu('a vocabulary of 262,144 is looked up, multiplied and reduced', async () => {
  const [vocab, cols] = [262_144, 32];
  const { gpu, device } = await open({});
  device.setStepLimits({ maxRows: 2, maxLogitRows: 1, maxSlots: 1, maxBlocksPerSlot: 1 });
  const values = new Random(43).floats(vocab * cols);
  const table = device.createWeight({ name: 'vocabulary', rows: vocab, cols, format: 'F16' });
  await device.writeWeight(table, 0, quantize('F16', values), 'F16');
  const x = device.createTensor({ name: 'x', maxRows: 2, cols });
  const last = device.createTensor({ name: 'last', maxRows: 1, cols, domain: 'logits' });
  const logits = device.createTensor({ name: 'logits', maxRows: 1, cols: vocab, domain: 'logits' });
  const reduction = device.createReduction(logits);
  const plan = device.record(2, (record) => {
    record.embed({ table, out: x });
    record.gatherRows({ x, out: last });
    record.linear({ x: last, weights: [table], out: logits });
    record.reduceLogits({ logits, out: reduction });
  });
  await device.run(plan, plainStep(2, { tokens: [7, vocab - 1], logitRows: [1], reductions: [{ top: 1 }] }));
  const kept = rounded('F16', values);
  const wanted = linear(kept.slice((vocab - 1) * cols), kept, undefined, 1, cols);
  const found = await device.read(logits, 1);
  for (const id of [0, 65_535, 65_536, vocab - 1]) assert.ok(Math.abs(found[id] - wanted[id]) < 1e-4, String(id));
  const [reduced] = await device.readReduction(reduction);
  assert.equal([...(reduced?.ids ?? [])], [vocab - 1]);
  await device.close();
  gpu.close();
});

onGpu('a cache or a table that no buffer holds is refused in one line that names it', async () => {
  const { gpu, device } = await open({ bufferBytes: 4096 });
  const cache = () => device.createKvCache({ layers: 1, blocks: 9, kvHeads: 1, headDim: 8 });
  assert.match(await message(cache), /^K\/V cache of layer 0: 4608 bytes exceed the 4096 of one buffer/);
  const rope = () => device.createConstant('rope', new Float32Array(1025));
  assert.match(await message(rope), /^constant rope: 4112 bytes exceed the 4096 of one buffer/);
  const heads = () => device.createKvCache({ layers: 1, blocks: 1, kvHeads: 1, headDim: 384 });
  assert.match(await message(heads), /^K\/V cache: headDim 384 .+ at most 320/);
  gpu.close();
});

onGpu('a step of more rows than a dispatch has is refused before anything is made', async () => {
  const { gpu, device } = await open({});
  const limits = { maxLogitRows: 1, maxSlots: 1, maxBlocksPerSlot: 1 };
  assert.match(
    await message(() => device.setStepLimits({ maxRows: 65_536, ...limits })),
    /^a step of 65536 tokens: expected at most 65535/,
  );
  device.setStepLimits({ maxRows: 8192, ...limits });
  assert.match(
    await message(() => device.createRoutes({ experts: 60, perToken: 8 })),
    /^a step of 65536 routes of 8192 tokens: expected at most 65535/,
  );
  gpu.close();
});

onGpu('memory that the GPU does not have is said with what it was for, by every later call', async () => {
  const { gpu, device } = await open({});
  const { device: raw } = gpu;
  // SwiftShader would take the machine's memory first.
  raw.popErrorScope = async () => ({ message: 'out of memory' }) as GPUOutOfMemoryError;
  const weight = device.createWeight({ name: 'lm_head', rows: 4, cols: 32, format: 'F32' });
  const write = () => device.writeWeight(weight, 0, new Uint8Array(4 * 32 * 4), 'F32');
  assert.match(await message(write), /^weight lm_head: the GPU has no 512 bytes left$/);
  assert.ok(device.isLost);
  assert.match(await message(write), /^weight lm_head: the GPU has no 512 bytes left$/);
  gpu.close();
});

test.run();
