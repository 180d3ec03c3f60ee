/** Turns recorded ops into dispatches: pipelines, bind groups and arguments, made once and replayed every step. */

import type { OpRecorder } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import { isQuantized } from '../formats.ts';
import { WebGpuConstant, type WebGpuKvCache, type WebGpuTensor, type WebGpuWeight } from './buffers.ts';
import type { Gpu, GpuMemory } from './gpu.ts';
import { USAGE } from './gpu.ts';
import { embedKernel, KERNELS, type Kernel, type KernelConstants, linearKernel, type Variants } from './kernels.ts';
import { blocksOf, segmentsOf } from './layout.ts';
import type { Pipelines } from './pipelines.ts';
import { stackParts, type WeightRun } from './stack.ts';
import { SPLIT, type StepBuffers, type StepCounts } from './step-buffers.ts';

/** Threads of a workgroup where a thread takes an element of its own. */
const ELEMENT_THREADS = 64;
const LINEAR_THREADS = 128;
/** From this many rows on, linear computes tiles. */
const MANY_ROWS = 9;
/** Rows of x that share one reading of the weights, where there are a few. */
const FEW_ROWS = 4;
/** What every adapter grants a workgroup. */
const WORKGROUP_BYTES = 16384;
/** Attention spreads a row's splits over workgroups while there are no more rows than this, */
const SPREAD_ROWS = 16;
/** and their results fit here. */
const PARTIAL_BYTES = 32 * 2 ** 20;

/** An argument of a kernel: a float where it is written as one, else an unsigned integer. */
type Argument = number | { readonly float: number };

interface Recorded {
  readonly kernel: Kernel;
  readonly constants: KernelConstants;
  readonly args: readonly Argument[];
  /** From binding 1 on. */
  readonly buffers: readonly GPUBuffer[];
  readonly workgroups: Workgroups;
}

/** Workgroups of a step: how many (folded into x and y), and how many times over (z). None: nothing to do. */
type Workgroups = (counts: StepCounts) => readonly [count: number, times?: number];

export interface Dispatch {
  /** Of the kernel, for people. */
  readonly name: string;
  /** Compiled when first asked for. */
  readonly pipeline: () => Promise<GPUComputePipeline>;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
}

export class WebGpuRecorder implements OpRecorder {
  readonly #recorded: Recorded[] = [];
  readonly #gpu: Gpu;
  readonly #memory: GpuMemory;
  readonly #pipelines: Pipelines;
  readonly #variants: Variants;
  readonly #step: StepBuffers;
  readonly #unused: UnusedBindings;
  readonly caches = new Set<WebGpuKvCache>();
  /** Limits that a step's inputs are checked against. */
  vocabSize = Number.POSITIVE_INFINITY;
  positions = Number.POSITIVE_INFINITY;
  blocks = Number.POSITIVE_INFINITY;

  constructor(
    gpu: Gpu,
    memory: GpuMemory,
    pipelines: Pipelines,
    variants: Variants,
    step: StepBuffers,
    unused: UnusedBindings,
  ) {
    this.#gpu = gpu;
    this.#memory = memory;
    this.#pipelines = pipelines;
    this.#variants = variants;
    this.#step = step;
    this.#unused = unused;
  }

  /** Writes the arguments and makes the bind groups. */
  finish(): Dispatch[] {
    const { device } = this.#gpu;
    const slotBytes = Math.max(256, device.limits.minUniformBufferOffsetAlignment);
    const args = new ArrayBuffer(slotBytes * this.#recorded.length);
    const buffer = this.#memory.allocate(args.byteLength, 'kernel arguments', USAGE.UNIFORM | USAGE.COPY_DST);
    const dispatches = this.#recorded.map(({ kernel, constants, args: values, buffers, workgroups }, i) => {
      const words = new DataView(args, i * slotBytes, slotBytes);
      values.forEach((value, at) => {
        if (typeof value === 'number') words.setUint32(4 * at, value, true);
        else words.setFloat32(4 * at, value.float, true);
      });
      const bindGroup = device.createBindGroup({
        label: kernel.name,
        layout: this.#pipelines.layout(kernel),
        entries: [
          { binding: 0, resource: { buffer, offset: i * slotBytes, size: slotBytes } },
          ...buffers.map((bound, at) => ({ binding: at + 1, resource: { buffer: bound } })),
        ],
      });
      return { name: kernel.name, pipeline: () => this.#pipelines.compile(kernel, constants), bindGroup, workgroups };
    });
    device.queue.writeBuffer(buffer, 0, args);
    return dispatches;
  }

  embed(op: Parameters<OpRecorder['embed']>[0]): void {
    const table = op.table as WebGpuWeight;
    const out = op.out as WebGpuTensor;
    this.vocabSize = Math.min(this.vocabSize, table.rows);
    for (const part of table.parts) {
      part.bound = true;
      const { buffer, base, firstRow, rows } = part;
      this.#add(
        embedKernel(table.format),
        [table.vectors, blocksOf(table.cols), base, firstRow, rows, table.cols, out.stride, { float: op.scale ?? 1 }],
        [buffer, buffer, out.buffer],
        ({ rows: tokens }) => [Math.ceil((tokens * out.stride) / 4 / ELEMENT_THREADS)],
      );
    }
  }

  norm(op: Parameters<OpRecorder['norm']>[0]): void {
    if (op.addScale !== undefined || op.centered || op.bias || op.columns) missing('norm with all settings');
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    const add = op.add as WebGpuTensor | undefined;
    const inPlace = x === out;
    this.#add(
      KERNELS.norm,
      [x.cols, x.stride, domainCode(x), { float: op.eps }],
      [
        x.buffer,
        add?.buffer ?? this.#unused.read,
        (op.weight as WebGpuConstant).buffer,
        inPlace ? this.#unused.write : out.buffer,
      ],
      (counts) => [rowsOf(x, counts)],
      { THREADS: this.#variants.rowThreads, RESIDUAL: add !== undefined, IN_PLACE: inPlace },
    );
  }

  linear(op: Parameters<OpRecorder['linear']>[0]): void {
    const x = op.x as WebGpuTensor;
    const weights = op.weights as readonly WebGpuWeight[];
    if (weights.some(({ format }) => isQuantized(format))) this.#quantize(x);
    let column = 0;
    for (const run of stackParts(this.#gpu, this.#memory, weights)) {
      this.#linearRun(op, run, column);
      column += run.rows;
    }
  }

  #quantize(x: WebGpuTensor): void {
    const { codes, scales } = x.quantizedCopy(this.#memory);
    const blocks = blocksOf(x.cols);
    this.#add(KERNELS.quantizeRows, [blocks, x.stride, domainCode(x)], [x.buffer, codes, scales], (counts) => [
      Math.ceil((rowsOf(x, counts) * blocks) / ELEMENT_THREADS),
    ]);
  }

  /** One buffer's share of a linear op, in three kernels of which a step takes the one for its number of rows. */
  #linearRun(op: Parameters<OpRecorder['linear']>[0], run: WeightRun, column: number): void {
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    const bias = op.bias as WebGpuConstant | undefined;
    const { format, buffer } = run;
    const segments = segmentsOf(x.cols);
    const quantized = isQuantized(format) ? x.quantizedCopy(this.#memory) : undefined;
    const args = [
      blocksOf(x.cols),
      segments,
      run.vectors,
      run.base,
      run.rows,
      column,
      out.stride,
      x.stride,
      domainCode(x),
      bias ? 1 : 0,
    ];
    const buffers = [
      buffer,
      buffer,
      quantized?.codes ?? x.buffer,
      quantized?.scales ?? this.#unused.read,
      bias?.buffer ?? this.#unused.read,
      out.buffer,
    ];
    const { packedDot, plainLinear, tile } = this.#variants;
    const add = (rows: 'any' | 'few' | 'many', workgroups: (rows: number) => [number, number], constants = {}) =>
      this.#add(linearKernel(format, rows, packedDot), args, buffers, (c) => workgroups(rowsOf(x, c)), constants);
    if (plainLinear) {
      add('any', (rows) => [Math.ceil(run.rows / ELEMENT_THREADS), rows]);
      return;
    }
    const groups = Math.ceil(run.rows / (LINEAR_THREADS / segments));
    add('few', (rows) => [rows === 1 ? groups : 0, 1], { ROWS: 1 });
    add('few', (rows) => [rows > 1 && rows < MANY_ROWS ? groups : 0, Math.ceil(rows / FEW_ROWS)], { ROWS: FEW_ROWS });
    add('many', (rows) => [rows < MANY_ROWS ? 0 : Math.ceil(run.rows / tile), Math.ceil(rows / tile)], { TILE: tile });
  }

  ropeAndCache(op: Parameters<OpRecorder['ropeAndCache']>[0]): void {
    const qkv = op.qkv as WebGpuTensor;
    const cache = op.cache as WebGpuKvCache;
    const { heads, rotaryDim, layer } = op;
    const { kvHeads, headDim } = cache;
    if (op.rope) this.positions = Math.min(this.positions, op.rope.length / rotaryDim);
    this.blocks = Math.min(this.blocks, cache.blocks);
    this.caches.add(cache);
    this.#add(
      KERNELS.ropeAndCache,
      [heads, kvHeads, qkv.stride, rotaryDim, { float: op.normEps ?? 0 }],
      [
        qkv.buffer,
        ...[op.rope, op.qNorm, op.kNorm].map((constant) =>
          constant instanceof WebGpuConstant ? constant.buffer : this.#unused.read,
        ),
        cache.keys[layer],
        cache.values[layer],
      ],
      ({ rows }) => [rows * (heads + 2 * kvHeads)],
      {
        THREADS: this.#variants.rowThreads,
        HEAD_DIM: headDim,
        Q_NORM: op.qNorm !== undefined,
        K_NORM: op.kNorm !== undefined,
      },
    );
  }

  attention(op: Parameters<OpRecorder['attention']>[0]): void {
    const [qkv, out] = [op.qkv as WebGpuTensor, op.out as WebGpuTensor];
    const cache = op.cache as WebGpuKvCache;
    const { kvHeads, headDim } = cache;
    const { heads } = op;
    if (op.softcap !== undefined || op.sinks) missing('attention with a soft cap or sinks');
    const group = groupSize(heads / kvHeads, headDim, this.#variants);
    const groups = heads / kvHeads / group;
    const constants = { THREADS: this.#variants.rowThreads, HEAD_DIM: headDim, GROUP: group };
    const args = [heads, kvHeads, groups, qkv.stride, out.stride, op.window ?? 0, { float: op.scale }];
    const inputs = [qkv.buffer, cache.keys[op.layer], cache.values[op.layer]];
    const partials = this.#step.partials(heads, headDim, PARTIAL_BYTES, SPREAD_ROWS);
    const spreads = ({ rows, splits }: StepCounts) => splits > 1 && rows <= partials.rows;

    this.#add(
      KERNELS.attention,
      args,
      [...inputs, out.buffer],
      (counts) => [spreads(counts) ? 0 : counts.rows * kvHeads * groups],
      constants,
    );
    this.#add(
      KERNELS.attentionSplit,
      args,
      [...inputs, partials.buffer],
      (counts) => [spreads(counts) ? counts.rows * counts.splits * kvHeads * groups : 0],
      constants,
    );
    this.#add(
      KERNELS.attentionMerge,
      args,
      [partials.buffer, out.buffer],
      (counts) => [spreads(counts) ? counts.rows * heads : 0],
      constants,
    );
  }

  gatedActivation(op: Parameters<OpRecorder['gatedActivation']>[0]): void {
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    if ((op.activation !== 'silu' && op.activation !== 'gelu_tanh') || op.limit)
      missing(`gatedActivation ${op.activation}`);
    this.#add(
      KERNELS.gatedActivation,
      [out.cols, x.stride, out.stride, domainCode(x)],
      [x.buffer, out.buffer],
      (counts) => [Math.ceil((rowsOf(x, counts) * out.cols) / ELEMENT_THREADS)],
      { GELU: op.activation === 'gelu_tanh' },
    );
  }

  addScaled(): void {
    missing('addScaled');
  }

  scaleAndCap(): void {
    missing('scaleAndCap');
  }

  activation(): void {
    missing('activation');
  }

  route(): void {
    missing('route');
  }

  gatherRoutes(): void {
    missing('gatherRoutes');
  }

  expertLinear(): void {
    missing('expertLinear');
  }

  mixRoutes(): void {
    missing('mixRoutes');
  }

  gatherRows(op: Parameters<OpRecorder['gatherRows']>[0]): void {
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    this.#add(KERNELS.gatherRows, [x.stride], [x.buffer, out.buffer], (counts) => [
      Math.ceil((counts.logitRows * x.stride) / ELEMENT_THREADS),
    ]);
  }

  reduceLogits(): void {
    throw new DeviceError('webgpu device: logits are not reduced there; expected to read them');
  }

  #add(
    kernel: Kernel,
    args: readonly Argument[],
    buffers: readonly GPUBuffer[],
    workgroups: Workgroups,
    constants: KernelConstants = {},
  ): void {
    this.#recorded.push({ kernel, constants, args, buffers: [this.#step.buffer, ...buffers], workgroups });
  }
}

/** Buffers for bindings that a variant of a kernel has no use for. */
export interface UnusedBindings {
  readonly read: GPUBuffer;
  readonly write: GPUBuffer;
}

function missing(op: string): never {
  throw new DeviceError(`device webgpu has no op ${op}`);
}

function domainCode(tensor: WebGpuTensor): number {
  return tensor.domain === 'tokens' ? 0 : 1;
}

function rowsOf(tensor: WebGpuTensor, counts: StepCounts): number {
  return tensor.domain === 'tokens' ? counts.rows : counts.logitRows;
}

/** Query heads that share a K/V head and that one workgroup takes together: as many as its memory holds. */
function groupSize(heads: number, headDim: number, { headGroup, rowThreads }: Variants): number {
  const bytesPerHead = 4 * (2 * headDim + SPLIT + rowThreads);
  for (let size = Math.min(heads, headGroup); size > 1; size--) {
    if (heads % size === 0 && size * bytesPerHead <= WORKGROUP_BYTES) return size;
  }
  return 1;
}
