/** Float weights on the WebGPU device: tiles for prompts, and halves by the f16 type where the adapter has it. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { quantize, WebGpuDevice, type WeightFormat } from '../../kernels/index.ts';
import { openAdapter } from '../../kernels/webgpu/adapter.ts';
import { Gpu } from '../../kernels/webgpu/gpu.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { widenAlike } from '../../kernels/webgpu/self-check.ts';
import { SHADERS } from '../../kernels/webgpu/shaders.ts';
import { bestVariants, featureVariants, GPU_VARIANTS, type Variants } from '../../kernels/webgpu/variants.ts';
import { Random } from '../random.ts';
import { testGpu } from '../webgpu.ts';
import { plainStep, sameBits } from './harness.ts';

const test = suite('webgpu floats');
const gpu = await testGpu();
const onGpu = gpu ? test : test.skip;
const hasHalves = gpu?.features.halves ?? false;
if (!hasHalves) console.log('note: halves by the f16 type are not tested: the adapter has no shader-f16');
const withHalves = hasHalves ? test : test.skip;

const gpuVariants = (): Variants => ({
  ...featureVariants((gpu as Gpu).features),
  ...GPU_VARIANTS,
  compileAhead: false,
});
const WIDE = { wideWorkgroups: 1 };
const TILES: Partial<Variants>[] = [{}, WIDE, { ...WIDE, wideOuts: 128 }, { ...WIDE, wideRows: 64, wideThreadOuts: 4 }];

/** x · wᵀ of the rows given, by a device that has both. */
async function products(device: WebGpuDevice, format: WeightFormat, x: Float32Array, w: Float32Array, cols: number) {
  const [rows, outs] = [x.length / cols, w.length / cols];
  device.setStepLimits({ maxRows: rows, maxLogitRows: 1, maxSlots: 1, maxBlocksPerSlot: 1 });
  const table = device.createWeight({ name: 'x', rows, cols, format: 'F32' });
  await device.writeWeight(table, 0, quantize('F32', x), 'F32');
  const weight = device.createWeight({ name: 'w', rows: outs, cols, format });
  await device.writeWeight(weight, 0, quantize(format, w), format);
  const [input, out] = [cols, outs].map((width) => device.createTensor({ name: 't', maxRows: rows, cols: width }));
  const plan = device.record(rows, (record) => {
    record.embed({ table, out: input });
    record.linear({ x: input, weights: [weight], out });
  });
  return async (tokens: number[]) => {
    await device.run(plan, plainStep(tokens.length, { tokens, slots: tokens.map(() => 0), logitRows: [] }));
    return device.read(out, tokens.length);
  };
}

onGpu('every tile gives each row of a prompt the bits that it has alone', async () => {
  const pipelines = new Pipelines(gpu as Gpu);
  const random = new Random(61);
  // Blocks of 8 columns: fewer than segments; a segment has two or three; rows and outputs end within a tile.
  for (const [format, rows, cols, outs] of [
    ['BF16', 41, 96, 70],
    ['F32', 33, 96, 70],
    ['F16', 138, 610, 131],
  ] as const) {
    const [x, w] = [random.floats(rows * cols), random.floats(outs * cols)];
    const first = new Map<number, Float32Array>();
    for (const tile of format === 'F16' ? TILES : TILES.slice(0, 2)) {
      const device = WebGpuDevice.share(gpu as Gpu, pipelines, { ...gpuVariants(), ...tile });
      const run = await products(device, format, x, w, cols);
      for (const count of tile === TILES[0] ? [9, 32, rows] : [rows]) {
        const together = await run(Array.from({ length: count }, (_, r) => r));
        assert.ok(together.every((value) => Number.isFinite(value) && value !== 0));
        const wanted = first.get(count) ?? together;
        first.set(count, wanted);
        assert.ok(sameBits(together, wanted), `${format} ${JSON.stringify(tile)} ${count} rows`);
        if (wanted !== together) continue;
        for (const r of [0, 7, count - 1]) {
          assert.ok(
            sameBits(together.slice(r * outs, (r + 1) * outs), await run([r])),
            `${format} row ${r} of ${count}`,
          );
        }
      }
      await device.close();
    }
  }
});

onGpu('tiles that are folded into two dimensions give the same bits', async () => {
  const random = new Random(62);
  const [x, w] = [random.floats(35 * 64), random.floats(450 * 64)];
  const tokens = Array.from({ length: 35 }, (_, r) => r);
  const found: Float32Array[] = [];
  for (const limits of [{}, { workgroupsPerDimension: 3 }]) {
    const own = new Gpu(await openAdapter('any'), limits);
    const device = WebGpuDevice.share(own, new Pipelines(own), gpuVariants());
    const run = await products(device, 'F32', x, w, 64);
    found.push(await run(tokens.slice(0, 9)), await run(tokens));
    await device.close();
    own.close();
  }
  assert.ok(sameBits(found[0], found[2]));
  assert.ok(sameBits(found[1], found[3]));
});

withHalves(
  'every half is the same float by the f16 type and by arithmetic; what is not, is stepped down from',
  async () => {
    const best = bestVariants((gpu as Gpu).features);
    assert.ok(best.halves);
    const right = 'return vec4f(bitcast<vec4<f16>>(halves));';
    assert.ok(SHADERS['widen-f16'].includes(right));
    // Takes what float16 holds with fewer bits for nothing: too little for a comparison with the greatest value.
    const flushing = `let all = vec4f(bitcast<vec4<f16>>(halves));
  return select(all, vec4f(0.0), abs(all) < vec4f(0x1p-14));`;
    for (const [text, alike] of [
      [SHADERS['widen-f16'], true],
      [SHADERS['widen-f16'].replace(right, flushing), false],
    ] as const) {
      const pipelines = new Pipelines(gpu as Gpu, { 'widen-f16': text });
      const devices = [best, { ...best, halves: false }].map((variants) =>
        WebGpuDevice.share(gpu as Gpu, pipelines, variants),
      );
      assert.is(await widenAlike(devices), alike);
      for (const device of devices) await device.close();
      const device = await WebGpuDevice.create({ shaders: { 'widen-f16': text } });
      assert.is(device.description.includes(', f16'), alike);
      await device.close();
    }
  },
);

withHalves('an adapter whose f16 type computes wrongly takes halves by arithmetic', async () => {
  const wrong = SHADERS['widen-f16'].replace('vec4f(bitcast', '1.5 * vec4f(bitcast');
  const device = await WebGpuDevice.create({ shaders: { 'widen-f16': wrong } });
  assert.not.match(device.description, /f16/);
  await device.close();
});

test.run();
