/** Runs single ops on a device: inputs go in through an embedding table, outputs are poisoned with NaN beforehand. */

import {
  blockShape,
  type Constant,
  convert,
  type Device,
  dequantize,
  KV_BLOCK_SIZE,
  type KvCache,
  type OpRecorder,
  quantize,
  ReferenceDevice,
  type RowDomain,
  type StepInput,
  type Tensor,
  WasmDevice,
  type Weight,
  type WeightFormat,
} from '../../kernels/index.ts';
import { chooseDotMethods, type DotMethods } from '../../kernels/wasm/features.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import type { Gpu } from '../../kernels/webgpu/gpu.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { bestVariants, featureVariants, GPU_VARIANTS, type Variants } from '../../kernels/webgpu/variants.ts';
import { testGpu } from '../webgpu.ts';

export interface Bench {
  readonly device: Device;
  /** Made so that row r of the result is `rows[r]` when token r is r. */
  input(name: string, values: Float32Array, cols: number): Weight;
  weight(name: string, values: Float32Array, cols: number, format: WeightFormat): Promise<Weight>;
  constant(values: Float32Array): Constant;
  /** A tensor full of NaN. */
  output(cols: number, domain?: RowDomain): Tensor;
  run(ops: (record: OpRecorder) => void, step: StepInput): Promise<void>;
  read(tensor: Tensor, rows: number): Promise<Float32Array>;
  cache(shape: { layers: number; blocks: number; kvHeads: number; headDim: number }): KvCache;
}

export const MAX_ROWS = 40;
export const MAX_BLOCKS = 40;

export async function openBench(device: Device): Promise<Bench> {
  device.setStepLimits({ maxRows: MAX_ROWS, maxLogitRows: MAX_ROWS, maxSlots: 8, maxBlocksPerSlot: MAX_BLOCKS });
  const pending: Promise<void>[] = [];
  let fresh: Tensor[] = [];
  let made = 0;

  const floatWeight = (name: string, values: Float32Array, cols: number): Weight => {
    const weight = device.createWeight({ name, rows: values.length / cols, cols, format: 'F32' });
    pending.push(device.writeWeight(weight, 0, quantize('F32', values), 'F32'));
    return weight;
  };

  /** Fills the outputs made since the last run with NaN. */
  const poison = async () => {
    const targets = fresh.map((out) => {
      const nan = new Float32Array(MAX_ROWS * out.cols).fill(Number.NaN);
      const carrier = device.createTensor({ name: 'poison', maxRows: MAX_ROWS, cols: out.cols });
      return { out, carrier, table: floatWeight('poison', nan, out.cols) };
    });
    fresh = [];
    await Promise.all(pending.splice(0));
    const plan = device.record(MAX_ROWS, (record) => {
      for (const { out, carrier, table } of targets) {
        record.embed({ table, out: out.domain === 'tokens' ? out : carrier });
        if (out.domain === 'logits') record.gatherRows({ x: carrier, out });
      }
    });
    if (targets.length > 0) await device.run(plan, plainStep(MAX_ROWS));
  };

  return {
    device,
    input: floatWeight,
    async weight(name, values, cols, format) {
      const weight = device.createWeight({ name, rows: values.length / cols, cols, format });
      await device.writeWeight(weight, 0, quantize(format, values), format);
      return weight;
    },
    constant: (values) => device.createConstant(`constant ${made++}`, values),
    output(cols, domain) {
      const tensor = device.createTensor({ name: `output ${made++}`, maxRows: MAX_ROWS, cols, domain });
      fresh.push(tensor);
      return tensor;
    },
    async run(ops, step) {
      await poison();
      await device.run(device.record(MAX_ROWS, ops), step);
    },
    read: (tensor, rows) => device.read(tensor, rows),
    cache: (shape) => device.createKvCache(shape),
  };
}

export interface NamedDevice {
  readonly name: string;
  readonly kind: Device['kind'];
  /** Devices of one family give the same bits. */
  readonly family: string;
  readonly create: () => Promise<Device>;
}

/** Every device with hand-written kernels, in all variants that run here. */
export async function kernelDevices(): Promise<NamedDevice[]> {
  return [...(await wasmDevices()), ...(await webgpuDevices())];
}

/** Every way that the wasm device can multiply on this engine, beside the default. */
async function wasmDevices(): Promise<NamedDevice[]> {
  const chosen = chooseDotMethods();
  const methods: DotMethods[] = [{ Q8_0: 'wide', Q4_0: 'wide' }];
  if (chosen.Q4_0 !== 'wide') methods.push({ Q8_0: 'wide', Q4_0: 'dot16' }, { Q8_0: 'dot32', Q4_0: 'dot32' });
  if (chosen.Q8_0 === 'bytes') methods.push(chosen);
  return [
    ...methods.map((dotMethods) => ({
      name: `wasm inline ${dotMethods.Q8_0}/${dotMethods.Q4_0}`,
      kind: 'wasm' as const,
      family: 'wasm',
      create: () => WasmDevice.create({ threads: 0, dotMethods }),
    })),
    { name: 'wasm 2 threads', kind: 'wasm', family: 'wasm', create: () => WasmDevice.create({ threads: 2 }) },
    { name: 'wasm 3 threads', kind: 'wasm', family: 'wasm', create: () => WasmDevice.create({ threads: 3 }) },
  ];
}

/**
 * The webgpu device with the adapter's best kernels, and with the other kernels for linear; in `npm run test:full` also with
 * those that a GPU takes, which a CPU compiles for long. None without an adapter.
 */
async function webgpuDevices(): Promise<NamedDevice[]> {
  const gpu = await testGpu();
  if (!gpu) return [];
  const best = bestVariants(gpu.features);
  return [
    webgpuDevice(gpu, 'webgpu', 'webgpu', best),
    webgpuDevice(gpu, 'webgpu, other linear', 'webgpu', { ...best, plainLinear: !best.plainLinear }),
    webgpuDevice(gpu, 'webgpu, plain products', 'webgpu', { ...best, packedDot: false }),
    ...(process.env.QUERN_TEST_FULL === '1' ? await gpuKernelDevices() : []),
  ];
}

/** The webgpu device with the kernels that a GPU takes. Sums over more threads are another order, so another family. */
export async function gpuKernelDevices(): Promise<NamedDevice[]> {
  const gpu = await testGpu();
  if (!gpu) return [];
  // A CPU would compile each shape anew.
  const constantArguments = !gpu.features.software;
  const variants = { ...featureVariants(gpu.features), ...GPU_VARIANTS, constantArguments };
  return [webgpuDevice(gpu, 'webgpu, as on a GPU', 'webgpu, as on a GPU', variants)];
}

const pipelines = new Map<Gpu, Pipelines>();

function webgpuDevice(gpu: Gpu, name: string, family: string, variants: Variants): NamedDevice {
  const shared = pipelines.get(gpu) ?? new Pipelines(gpu);
  pipelines.set(gpu, shared);
  return { name, kind: 'webgpu', family, create: async () => WebGpuDevice.share(gpu, shared, variants) };
}

export const referenceDevice: NamedDevice = {
  name: 'reference',
  kind: 'reference',
  family: 'reference',
  create: async () => new ReferenceDevice(),
};

/** A step of `rows` independent rows, token r in row r, each a sequence of its own at position 0 unless given. */
export function plainStep(rows: number, more: Partial<StepInput> = {}): StepInput {
  const indices = Array.from({ length: rows }, (_, r) => r);
  return {
    tokens: indices,
    positions: indices.map(() => 0),
    slots: indices.map(() => 0),
    blockTables: [[0]],
    logitRows: indices,
    ...more,
  };
}

/** Largest |a − b|; Infinity when exactly one of two numbers is not finite. */
export function maxDifference(a: Float32Array, b: Float32Array): number {
  let max = a.length === b.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (Number.isNaN(difference)) return Number.POSITIVE_INFINITY;
    max = Math.max(max, difference);
  }
  return max;
}

export function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [a, b].map((array) => new Uint32Array(array.buffer, array.byteOffset, array.length));
  return x.length === y.length && x.every((word, i) => word === y[i]);
}

/** What a matrix becomes when it is rounded to a format and then, where a device has not that one, to its `kept`. */
export function rounded(format: WeightFormat, values: Float32Array, kept = format): Float32Array {
  return dequantize(kept, convert(format, kept, quantize(format, values)));
}

/** The nearest row length that a format allows, at least `cols`. */
export function wholeBlocks(format: WeightFormat, cols: number): number {
  const { elements } = blockShape(format);
  return Math.ceil(cols / elements) * elements;
}

export { KV_BLOCK_SIZE };
