/** The WebGPU device: hand-written WGSL kernels, recorded once and replayed as one compute pass a step. */

import { checkedRecorder, checkStep, type StepBounds } from '../checks.ts';
import type {
  BlockCopy,
  Constant,
  Device,
  KvCache,
  KvShape,
  OpRecorder,
  Plan,
  ReducedLogits,
  Reduction,
  Routes,
  StepInput,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from '../contract.ts';
import { DeviceError } from '../errors.ts';
import type { FileFormat } from '../formats.ts';
import { type AdapterChoice, openAdapter } from './adapter.ts';
import { kvBlockBytes, WebGpuConstant, WebGpuKvCache, WebGpuRoutes, WebGpuTensor, WebGpuWeight } from './buffers.ts';
import { Gpu, type GpuLimits, GpuMemory, USAGE } from './gpu.ts';
import { Pipelines } from './pipelines.ts';
import { encodePass, PlanEncoder, type Work } from './plan-encoder.ts';
import { Readback } from './readback.ts';
import { WebGpuRecorder } from './record.ts';
import type { UnusedBindings } from './recording.ts';
import { WebGpuReduction } from './reductions.ts';
import { type Fault, findFault, widenAlike } from './self-check.ts';
import type { ShaderName } from './shaders.ts';
import { StepBuffers } from './step-buffers.ts';
import { type KernelTime, Timestamps, timesByKernel } from './timestamps.ts';
import { checkTunedTiles, type TunedTiles, tiledKernels } from './tuned-tiles.ts';
import { bestVariants, stepDowns, type Variants } from './variants.ts';

/** Uploads wait for the GPU when so many bytes are on their way, so that loading needs no second copy of the model. */
const UPLOAD_BYTES = 64 * 2 ** 20;

export interface WebGpuDeviceOptions {
  /** Default: any adapter. */
  readonly adapter?: AdapterChoice;
  /** Tighter limits than the adapter's. */
  readonly limits?: Partial<GpuLimits>;
  /** WGSL files that stand in for the package's own, by name, for work on a kernel. */
  readonly shaders?: Partial<Record<ShaderName, string>>;
  /**
   * What `bench kernels --tune` found, or what looks it up by the adapter's description. Tiles of another adapter or of other
   * kernels are left aside.
   */
  readonly tunedTiles?: TunedTiles | ((adapter: string) => Promise<TunedTiles | undefined>);
  /** Variants and tile sizes other than those that suit the adapter best, not checked; for work on a kernel. */
  readonly variants?: Partial<Variants>;
}

interface WebGpuPlan extends Plan {
  readonly encoder: PlanEncoder;
  readonly caches: ReadonlySet<WebGpuKvCache>;
  readonly reductions: ReadonlySet<WebGpuReduction>;
  readonly bounds: StepBounds;
}

export class WebGpuDevice implements Device {
  readonly kind = 'webgpu';
  readonly description: string;
  readonly #gpu: Gpu;
  readonly #ownsGpu: boolean;
  readonly #memory: GpuMemory;
  readonly #pipelines: Pipelines;
  readonly #variants: Variants;
  readonly #unused: UnusedBindings;
  readonly #readback: Readback;
  #step: StepBuffers | null = null;
  #uploading = 0;
  #running = false;
  /** Its commands may be encoded once more while the GPU is at them. */
  #lastRun: PlanEncoder | undefined;
  #closed = false;

  /**
   * Opens an adapter and checks its kernels against the reference. Where the best ones compute wrongly, plainer ones are
   * taken.
   * @throws DeviceError when there is no adapter of the wanted kind, even its plainest kernels compute wrongly, or
   * `tunedTiles` is none
   */
  static async create(options: WebGpuDeviceOptions = {}): Promise<WebGpuDevice> {
    const gpu = new Gpu(await openAdapter(options.adapter ?? 'any'), options.limits);
    const pipelines = new Pipelines(gpu, options.shaders);
    try {
      const linearTiles = await usedTiles(options.tunedTiles, gpu.features.description);
      const best = { ...bestVariants(gpu.features), linearTiles };
      const variants = options.variants ? { ...best, ...options.variants } : await soundVariants(gpu, pipelines, best);
      return new WebGpuDevice(gpu, pipelines, variants, true);
    } catch (error) {
      gpu.close();
      throw error;
    }
  }

  /** A device beside others on one GPU, with their compiled kernels. Closing it leaves the GPU open. */
  static share(gpu: Gpu, pipelines: Pipelines, variants: Variants): WebGpuDevice {
    return new WebGpuDevice(gpu, pipelines, variants, false);
  }

  private constructor(gpu: Gpu, pipelines: Pipelines, variants: Variants, ownsGpu: boolean) {
    this.#gpu = gpu;
    this.#ownsGpu = ownsGpu;
    this.#memory = new GpuMemory(gpu);
    this.#pipelines = pipelines;
    this.#variants = variants;
    this.#readback = new Readback(gpu, this.#memory);
    const unused = (usage?: number) => this.#memory.allocate(16, 'unused', usage);
    this.#unused = { uniform: unused(USAGE.UNIFORM), read: unused(), write: [unused(), unused(), unused()] };
    const { m, n, k } = variants.matrices ?? {};
    const matrices = variants.matrices ? [`matrix units ${m}×${n}×${k}`] : [];
    const isTuned = Object.keys(variants.linearTiles).length > 0;
    const used = [
      `${variants.packedDot ? 'packed' : 'plain'} integer products`,
      ...(variants.halves ? ['f16'] : []),
      ...(variants.immediates ? ['immediates'] : []),
      ...(variants.subgroups ? [`subgroups of ${variants.subgroups}`] : []),
      ...(variants.plainLinear ? ['plain linear'] : [...matrices, ...(isTuned ? ['tuned tiles'] : [])]),
    ];
    this.description = `webgpu (${[gpu.features.description, ...used].join(', ')})`;
  }

  /** WebGPU does not tell. */
  readonly memoryBytes = undefined;

  get isLost(): boolean {
    return this.#gpu.hasFailed;
  }

  createWeight(shape: WeightShape): Weight {
    this.#assertUsable();
    return new WebGpuWeight(this.#gpu, this.#memory, shape);
  }

  async writeWeight(weight: Weight, firstRow: number, data: Uint8Array, sourceFormat: FileFormat): Promise<void> {
    this.#assertUsable();
    const { queue } = this.#gpu.device;
    this.#uploading += (weight as WebGpuWeight).write(queue, firstRow, data, sourceFormat);
    await this.#memory.settle();
    if (this.#uploading < UPLOAD_BYTES) return;
    this.#uploading = 0;
    queue.submit([]);
    await this.#gpu.settled(queue.onSubmittedWorkDone());
  }

  /** Fills a weight with copies of another one's rows, on the GPU: large weights for benches, made at once. */
  fillWeight(weight: Weight, pattern: Weight): void {
    this.#assertUsable();
    const encoder = this.#gpu.device.createCommandEncoder();
    (weight as WebGpuWeight).fill(encoder, pattern as WebGpuWeight);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  createConstant(name: string, values: Float32Array): Constant {
    this.#assertUsable();
    return new WebGpuConstant(this.#gpu, this.#memory, name, values);
  }

  createTensor(shape: TensorShape): Tensor {
    this.#assertUsable();
    return new WebGpuTensor(this.#memory, shape);
  }

  createRoutes(shape: { experts: number; perToken: number }): Routes {
    this.#assertUsable();
    if (!this.#step) throw new DeviceError('createRoutes: setStepLimits must come first');
    this.#assertRows(this.#step.limits.maxRows * shape.perToken, `routes of ${this.#step.limits.maxRows} tokens`);
    return new WebGpuRoutes(this.#memory, shape, this.#step.limits);
  }

  createKvCache(shape: KvShape & { blocks: number }): KvCache {
    this.#assertUsable();
    return new WebGpuKvCache(this.#memory, shape);
  }

  createReduction(logits: Tensor): Reduction {
    this.#assertUsable();
    return new WebGpuReduction(this.#memory, logits as WebGpuTensor);
  }

  async readReduction(reduction: Reduction): Promise<(ReducedLogits | null)[]> {
    this.#assertUsable();
    const reduced = reduction as WebGpuReduction;
    const words = this.#readback.parts(reduced.parts());
    this.#lastRun?.encodeAhead();
    return reduced.results(await words);
  }

  kvBlockBytes(shape: KvShape): number {
    return kvBlockBytes(shape);
  }

  setStepLimits(limits: StepLimits): void {
    this.#assertUsable();
    this.#assertRows(limits.maxRows, 'tokens');
    this.#step = new StepBuffers(this.#gpu, this.#memory, limits);
  }

  /** One plan serves every row count: a step picks among its dispatches by its own number of rows. */
  rowBuckets(maxRows: number): number[] {
    return [maxRows];
  }

  record(maxRows: number, ops: (record: OpRecorder) => void): Plan {
    this.#assertUsable();
    if (!this.#step) throw new DeviceError('record: setStepLimits must come first');
    const recorder = new WebGpuRecorder(
      this.#gpu,
      this.#memory,
      this.#pipelines,
      this.#variants,
      this.#step,
      this.#unused,
    );
    ops(checkedRecorder(recorder));
    const { caches, reductions, vocabSize, positions, blocks } = recorder;
    const reducedCols = Math.max(0, ...[...reductions].map(({ logits }) => logits.cols));
    const encoder = new PlanEncoder(this.#gpu, recorder.finish());
    // All side by side, for the first step to find. On a CPU that takes longer than most steps do.
    if (this.#variants.compileAhead) encoder.compile();
    const plan: WebGpuPlan = {
      maxRows,
      encoder,
      caches,
      reductions,
      bounds: { limits: this.#step.limits, maxRows, vocabSize, positions, blocks, reducedCols },
    };
    return plan;
  }

  /** Settles when the step is on the GPU's queue; {@link read} waits for its end. */
  async run(plan: Plan, step: StepInput): Promise<void> {
    const { encoder } = plan as WebGpuPlan;
    const work = await this.#begin(plan as WebGpuPlan, step);
    encoder.submit(work);
    this.#lastRun = encoder;
  }

  /** Settles when the GPU has done all that was submitted. */
  async idle(): Promise<void> {
    await this.#gpu.settled(this.#gpu.device.queue.onSubmittedWorkDone());
  }

  /**
   * Runs a step and tells how long the GPU was at it, by its own clock: the step as it is run, or each kernel apart.
   * @throws DeviceError where the adapter has no timestamps
   */
  async profile(plan: Plan, step: StepInput, apart = false): Promise<KernelTime[]> {
    const work = await this.#begin(plan as WebGpuPlan, step);
    const passes = apart ? work.map((one) => [one]) : [work];
    const timestamps = new Timestamps(this.#gpu, this.#memory, passes.length);
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const [i, dispatches] of passes.entries()) encodePass(encoder, dispatches, timestamps.descriptor(i));
    const milliseconds = await timestamps.submit(encoder);
    if (!apart) return [{ name: 'step', dispatches: work.length, milliseconds: milliseconds[0] }];
    return timesByKernel(
      work.map(({ name }) => name),
      milliseconds,
    );
  }

  /** Brings a step's inputs and copied blocks onto the queue, and says what there is to do. */
  async #begin({ encoder, caches, reductions, bounds }: WebGpuPlan, step: StepInput): Promise<readonly Work[]> {
    this.#assertUsable();
    if (this.#running) throw new DeviceError('run: the last step has not ended');
    checkStep(step, bounds);
    const counts = (this.#step as StepBuffers).write(step);
    for (const reduction of reductions) reduction.write(this.#gpu.device.queue, step);
    this.#copyBlocks(step.copies ?? [], caches);
    this.#running = true;
    try {
      await this.#memory.settle();
      const work = await encoder.work(counts);
      this.#assertUsable();
      return work;
    } finally {
      this.#running = false;
    }
  }

  #copyBlocks(copies: readonly BlockCopy[], caches: ReadonlySet<WebGpuKvCache>): void {
    if (copies.length === 0) return;
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const copy of copies) for (const cache of caches) cache.copyBlock(encoder, copy);
    this.#gpu.device.queue.submit([encoder.finish()]);
  }

  async read(tensor: Tensor, rows: number, firstRow = 0): Promise<Float32Array> {
    this.#assertUsable();
    const read = this.#readback.read(tensor as WebGpuTensor, rows, firstRow);
    this.#lastRun?.encodeAhead();
    return read;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#memory.freeAll();
    if (this.#ownsGpu) this.#gpu.close();
  }

  /** Kernels number rows by the third dimension of a dispatch, which is not folded. */
  #assertRows(rows: number, what: string): void {
    const most = this.#gpu.device.limits.maxComputeWorkgroupsPerDimension;
    if (rows > most) throw new DeviceError(`a step of ${rows} ${what}: expected at most ${most} on this adapter`);
  }

  #assertUsable(): void {
    if (this.#closed) throw new DeviceError('webgpu device is closed');
    this.#gpu.assertUsable();
  }
}

/** The tiles that were measured with these kernels on this adapter. */
async function usedTiles(tuned: WebGpuDeviceOptions['tunedTiles'], adapter: string): Promise<TunedTiles['tiles']> {
  const found = typeof tuned === 'function' ? await tuned(adapter) : tuned;
  if (found === undefined) return {};
  const { tiles, ...measured } = checkTunedTiles(found);
  return measured.adapter === adapter && measured.kernels === tiledKernels() ? tiles : {};
}

/** The best variants that pass the self-check. */
async function soundVariants(gpu: Gpu, pipelines: Pipelines, wanted: Variants): Promise<Variants> {
  const best = await withSoundHalves(gpu, pipelines, wanted);
  let fault: Fault | undefined;
  let failure: unknown;
  for (const variants of [best, ...stepDowns(best)]) {
    const device = WebGpuDevice.share(gpu, pipelines, variants);
    failure = undefined;
    try {
      fault = await findFault(device);
      if (!fault) return variants;
    } catch (error) {
      // Experimental WGSL is spelled differently from browser to browser: plainer kernels may compile.
      failure = error;
    } finally {
      await device.close();
    }
  }
  if (failure) throw failure;
  const { kernel, difference } = fault as Fault;
  const share = `${(100 * difference).toPrecision(2)}% of the greatest value`;
  throw new DeviceError(
    `device webgpu: kernel ${kernel} computes wrongly on ${gpu.features.description}: off by ${share}`,
  );
}

/** Without {@link Variants.halves} where they are not the same floats as without. */
async function withSoundHalves(gpu: Gpu, pipelines: Pipelines, best: Variants): Promise<Variants> {
  if (!best.halves) return best;
  const plain = { ...best, halves: false };
  const devices = [best, plain].map((variants) => WebGpuDevice.share(gpu, pipelines, variants));
  try {
    return (await widenAlike(devices)) ? best : plain;
  } finally {
    for (const device of devices) await device.close();
  }
}
