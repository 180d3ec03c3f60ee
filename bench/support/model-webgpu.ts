/** A whole model on the WebGPU device: by the host's clock with and without waiting for each token, and kernel by kernel. */

import type { ModelSource } from '../../engine/checkpoint/model-source.ts';
import { type LoadedModel, loadModel } from '../../engine/load-model.ts';
import { type Device, WebGpuDevice } from '../../kernels/index.ts';
import type { KernelTime } from '../../kernels/webgpu/timestamps.ts';
import type { Variants } from '../../kernels/webgpu/variants.ts';
import { fillByCopies } from './bench-device.ts';
import { bytesPerToken, generate, promptMacs, promptStep } from './model-steps.ts';
import { randomModel, type Weights, weightsOf } from './random-model.ts';
import { median } from './table.ts';

/** Bytes that are of a matrix, rather than of a header or a vector. */
const LARGE_READ = 2 ** 18;
/** Generated before anything is timed. */
const WARM_TOKENS = 64;

export interface WebGpuModelOptions {
  readonly shape: string;
  /** As {@link weightsOf} takes it. */
  readonly quantization: Weights;
  readonly variants?: Partial<Variants>;
  /** What the variants are called. */
  readonly set: string;
  /** No prompt is timed: another setting's is near enough. */
  readonly decodeOnly: boolean;
  /** Told of each result as soon as it is there. */
  readonly progress: (text: string) => void;
  readonly pp: number;
  readonly tg: number;
  readonly repeat: number;
}

export interface WebGpuModelResult {
  readonly quantization: string;
  readonly set: string;
  readonly device: string;
  readonly loadSeconds: number;
  readonly ppTokensPerSecond?: number;
  readonly ppGigaflops?: number;
  /** Each token waited for and read, as the engine does. */
  readonly tgTokensPerSecond: number;
  /** Steps queued one after the other, and waited for at the end: no host, no readback. */
  readonly queuedTokensPerSecond: number;
  /** GB/s of weights of the latter, and its share of the read bandwidth. */
  readonly gigabytesPerSecond: number;
  readonly share: number;
  /** Of a decode step. */
  readonly dispatches: number;
  readonly encodeMicroseconds: number;
  readonly gpuMilliseconds: number;
  /** A decode step and a prompt step, each kernel in a pass of its own. */
  readonly decodeKernels: readonly KernelTime[];
  readonly promptKernels?: readonly KernelTime[];
}

export async function measureWebGpuModel(options: WebGpuModelOptions, bandwidth: number): Promise<WebGpuModelResult> {
  const { pp, tg, repeat, quantization, decodeOnly, progress } = options;
  // Without a prompt only the kernels of single rows are compiled.
  const variants = decodeOnly ? { ...options.variants, compileAhead: false } : options.variants;
  const device = await WebGpuDevice.create({ variants });
  const writes = useRepeatedWeights(device);
  const { format, quantize } = weightsOf(quantization);
  const source = withoutLargeReads(await randomModel(options.shape, format));
  const started = performance.now();
  const model = await loadModel(source, {
    device,
    quantize,
    maxModelLen: Math.max(pp, tg, WARM_TOKENS),
    maxNumSeqs: 1,
    maxNumBatchedTokens: pp,
  });
  await writes.done();
  await generate(model, WARM_TOKENS);
  const loadSeconds = (performance.now() - started) / 1000;
  const tokenSeconds = (await medianSeconds(repeat, () => generate(model, tg))) / tg;
  const encoded: number[] = [];
  const queued = await medianSeconds(repeat, async () => {
    // Between steps the event loop turns once, which frees what the last one left.
    let microseconds = 0;
    const readReduction: Device['readReduction'] = async () => {
      await new Promise(setImmediate);
      return [];
    };
    const original = device.run.bind(device);
    const run: Device['run'] = async (plan, step) => {
      const start = performance.now();
      await original(plan, step);
      microseconds += 1000 * (performance.now() - start);
    };
    await withMethods(device, { readReduction, run }, () => generate(model, tg));
    encoded.push(microseconds / tg);
    await device.idle();
  });
  const queuedSeconds = queued / tg;
  // After the GPU has been busy for a while: fresh from idling its clocks are low, and all takes three times as long.
  const [step] = await profile(device, false, () => generate(model, 1));
  const decodeKernels = await profile(device, true, () => generate(model, 1));
  progress(`${step.milliseconds.toFixed(3)} ms a token; ${kernelTimes(decodeKernels)}; ${device.description}`);
  progress(`${(1 / tokenSeconds).toFixed(1)} tokens/s, queued ${(1 / queuedSeconds).toFixed(1)}`);
  const prompt = decodeOnly ? undefined : await measurePrompt(model, device, pp, repeat);
  const bytes = bytesPerToken(model);
  const result: WebGpuModelResult = {
    quantization,
    set: options.set,
    device: device.description,
    loadSeconds,
    ppTokensPerSecond: prompt && pp / prompt.seconds,
    ppGigaflops: prompt && (2 * promptMacs(model, pp)) / prompt.seconds / 1e9,
    tgTokensPerSecond: 1 / tokenSeconds,
    queuedTokensPerSecond: 1 / queuedSeconds,
    gigabytesPerSecond: bytes / queuedSeconds / 1e9,
    share: bytes / queuedSeconds / 1e9 / bandwidth,
    dispatches: step.dispatches,
    encodeMicroseconds: median(encoded),
    gpuMilliseconds: step.milliseconds,
    decodeKernels,
    promptKernels: prompt?.kernels,
  };
  await model.close();
  await source.close();
  return result;
}

async function measurePrompt(model: LoadedModel, device: WebGpuDevice, pp: number, repeat: number) {
  await promptStep(model, pp);
  const seconds = await medianSeconds(repeat, () => promptStep(model, pp));
  return { seconds, kernels: await profile(device, true, () => promptStep(model, pp)) };
}

/** The kernels of a step, the longest first. */
export function kernelTimes(times: readonly KernelTime[]): string {
  return times
    .map(({ name, dispatches, milliseconds }) => `${name} ${dispatches}× ${Math.round(1000 * milliseconds)} µs`)
    .join(', ');
}

/** A source that leaves buffers for matrices as they are: what is read is not used. */
function withoutLargeReads(source: ModelSource): ModelSource {
  const read: ModelSource['read'] = async (file, offset, into) => {
    if (into.length < LARGE_READ) await source.read(file, offset, into);
  };
  return { ...source, read };
}

/** Writes the first rows of each weight, made up in its own format, and repeats them on the GPU. */
function useRepeatedWeights(device: WebGpuDevice): { done(): Promise<void> } {
  const filled = new Map<string, Promise<void>>();
  const plain = {
    createWeight: device.createWeight.bind(device),
    writeWeight: device.writeWeight.bind(device),
    fillWeight: device.fillWeight.bind(device),
  };
  device.writeWeight = async (weight) => {
    if (!filled.has(weight.name)) filled.set(weight.name, fillByCopies(plain, weight));
    await filled.get(weight.name);
  };
  return {
    async done() {
      await Promise.all(filled.values());
      Reflect.deleteProperty(device, 'writeWeight');
    },
  };
}

/** The times of the last step that `run` makes. */
async function profile(device: WebGpuDevice, apart: boolean, run: () => Promise<void>): Promise<KernelTime[]> {
  const original = device.profile.bind(device);
  let times: KernelTime[] = [];
  const timed: Device['run'] = async (plan, step) => {
    times = await original(plan, step, apart);
  };
  await withMethods(device, { run: timed }, run);
  return times;
}

/** Runs something with other methods in the place of the device's own. */
async function withMethods(device: Device, methods: Partial<Device>, run: () => Promise<void>): Promise<void> {
  Object.assign(device, methods);
  try {
    await run();
  } finally {
    for (const name of Object.keys(methods)) Reflect.deleteProperty(device, name);
  }
}

async function medianSeconds(count: number, run: () => Promise<void>): Promise<number> {
  const seconds: number[] = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    await run();
    seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}
