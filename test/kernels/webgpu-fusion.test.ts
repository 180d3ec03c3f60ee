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
