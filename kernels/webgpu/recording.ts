/** What a plan's ops become: dispatches with their pipelines, bind groups and arguments, made once and replayed every step. */

import type { WebGpuConstant, WebGpuTensor } from './buffers.ts';
import type { Gpu, GpuMemory } from './gpu.ts';
import { USAGE } from './gpu.ts';
import { KERNELS, type Kernel, type KernelConstants, type Variants } from './kernels.ts';
import { blocksOf } from './layout.ts';
import type { Pipelines } from './pipelines.ts';
import type { WeightRun } from './stack.ts';
import type { StepBuffers, StepCounts } from './step-buffers.ts';

/** Threads of a workgroup where a thread takes an element of its own. */
export const ELEMENT_THREADS = 64;

/** An argument of a kernel: a float where it is written as one, else an unsigned integer. */
export type Argument = number | { readonly float: number };

/** Workgroups of a step: how many (folded into x and y), and how many times over (z). None: nothing to do. */
export type Workgroups = (counts: StepCounts) => readonly [count: number, times?: number];

export interface Recorded {
  readonly kernel: Kernel;
  readonly args: readonly Argument[];
  /** From binding 2 on. */
  readonly buffers: readonly GPUBuffer[];
  readonly workgroups: Workgroups;
  readonly constants?: KernelConstants;
}

/** Ready to be encoded once its pipeline is compiled. */
export interface Dispatch {
  /** Of the kernel, for people. */
  readonly name: string;
  readonly bindGroup: GPUBindGroup;
  readonly workgroups: Workgroups;
  /** Undefined until {@link Dispatch.compile} has settled. */
  pipeline: GPUComputePipeline | undefined;
  readonly compile: () => Promise<void>;
}

/** Buffers for bindings that a variant of a kernel has no use for. No two that are written may be the same. */
export interface UnusedBindings {
  readonly uniform: GPUBuffer;
  readonly read: GPUBuffer;
  readonly write: readonly GPUBuffer[];
}

/** The kernels for few rows of a linear op with one run of weights. */
export interface FewRows {
  readonly at: number;
  readonly kernels: number;
  readonly x: WebGpuTensor;
  readonly run: WeightRun;
  readonly bias: WebGpuConstant | undefined;
}

/** The 8-bit form of a tensor. */
export type Quantized = ReturnType<WebGpuTensor['quantizedCopy']>;

/** Makes kernels that write a tensor, and its 8-bit form where `isWanted`; else those buffers are left alone. */
export type QuantizingKernels = (form: Quantized, isWanted: boolean) => readonly Recorded[];

export class Recording {
  readonly gpu: Gpu;
  readonly memory: GpuMemory;
  readonly variants: Variants;
  readonly step: StepBuffers;
  readonly unused: UnusedBindings;
  readonly #pipelines: Pipelines;
  readonly #recorded: (Recorded | undefined)[] = [];
  /** Kernels for few rows of the linear op that wrote a tensor last, which another op may do the work of. */
  readonly #linears = new Map<WebGpuTensor, FewRows>();
  /** Where the kernels that wrote a tensor last were recorded, and what makes them write its 8-bit form too. */
  readonly #quantizing = new Map<WebGpuTensor, { readonly at: number; readonly kernels: QuantizingKernels }>();
  /** Tensors whose 8-bit form is that of their present values. */
  readonly #quantized = new Set<WebGpuTensor>();

  constructor(
    gpu: Gpu,
    memory: GpuMemory,
    pipelines: Pipelines,
    variants: Variants,
    step: StepBuffers,
    unused: UnusedBindings,
  ) {
    this.gpu = gpu;
    this.memory = memory;
    this.#pipelines = pipelines;
    this.variants = variants;
    this.step = step;
    this.unused = unused;
  }

  /** Records kernels that write those tensors; of a step's rows each kernel does its part, or nothing. */
  add(written: readonly WebGpuTensor[], ...kernels: readonly Recorded[]): void {
    this.#recorded.push(...kernels);
    for (const tensor of written) {
      this.#quantized.delete(tensor);
      this.#quantizing.delete(tensor);
      this.#linears.delete(tensor);
    }
  }

  /** Says that the last `kernels` recorded are those for few rows of the linear op that writes `out`. */
  noteFewRows(out: WebGpuTensor, kernels: number, linear: Omit<FewRows, 'at' | 'kernels'>): void {
    this.#linears.set(out, { ...linear, kernels, at: this.#recorded.length - kernels });
  }

  /** Takes those kernels out of the plan, for an op that does their work. */
  takeFewRows({ at, kernels }: FewRows): void {
    this.#recorded.fill(undefined, at, at + kernels);
  }

  /** What an op may {@link takeFewRows}: nothing was recorded since that might read `out`. */
  fewRows(out: WebGpuTensor): FewRows | undefined {
    const linear = this.#linears.get(out);
    return linear && linear.at + linear.kernels === this.#recorded.length ? linear : undefined;
  }

  /** Records kernels that write `out`, and its 8-bit form as well if an op asks for that before `out` changes. */
  addQuantizing(out: WebGpuTensor, kernels: QuantizingKernels): void {
    const at = this.#recorded.length;
    const [codes, scales] = this.unused.write;
    this.add([out], ...kernels({ codes, scales }, false));
    this.#quantizing.set(out, { at, kernels });
  }

  /** The 8-bit form of a tensor, made by what made the tensor, or else by a kernel of its own. */
  quantized(x: WebGpuTensor): Quantized {
    const copy = x.quantizedCopy(this.memory);
    if (this.#quantized.has(x)) return copy;
    const quantizing = this.#quantizing.get(x);
    if (quantizing) {
      const kernels = quantizing.kernels(copy, true);
      this.#recorded.splice(quantizing.at, kernels.length, ...kernels);
    } else {
      const blocks = blocksOf(x.cols);
      this.#recorded.push({
        kernel: KERNELS.quantizeRows,
        args: [blocks, x.stride, domainCode(x)],
        buffers: [x.buffer, copy.codes, copy.scales],
        workgroups: (counts) => [Math.ceil((rowsOf(x, counts) * blocks) / ELEMENT_THREADS)],
      });
    }
    this.#quantized.add(x);
    return copy;
  }

  /** Writes the arguments and makes the bind groups. */
  finish(): Dispatch[] {
    const { device } = this.gpu;
    const recorded = this.#recorded.filter((kernel) => kernel !== undefined);
    const slotBytes = Math.max(256, device.limits.minUniformBufferOffsetAlignment);
    const args = new ArrayBuffer(slotBytes * recorded.length);
    const buffer = this.memory.allocate(args.byteLength, 'kernel arguments', USAGE.UNIFORM | USAGE.COPY_DST);
    const dispatches = recorded.map(({ kernel, constants, args: values, buffers, workgroups }, i) => {
      const words = new DataView(args, i * slotBytes, slotBytes);
      values.forEach((value, at) => {
        if (typeof value === 'number') words.setUint32(4 * at, value, true);
        else words.setFloat32(4 * at, value.float, true);
      });
      const bound = [this.step.buffer, ...buffers];
      const bindGroup = device.createBindGroup({
        label: kernel.name,
        layout: this.#pipelines.layout(kernel),
        entries: [
          { binding: 0, resource: { buffer, offset: i * slotBytes, size: slotBytes } },
          ...bound.map((one, at) => ({ binding: at + 1, resource: { buffer: one } })),
        ],
      });
      const dispatch: Dispatch = {
        name: kernel.name,
        bindGroup,
        workgroups,
        pipeline: undefined,
        compile: async () => {
          dispatch.pipeline ??= await this.#pipelines.compile(kernel, constants);
        },
      };
      return dispatch;
    });
    device.queue.writeBuffer(buffer, 0, args);
    return dispatches;
  }
}

/** How `step.wgsl` is told which rows a tensor has. */
export function domainCode({ domain, perRow }: WebGpuTensor): number {
  return (domain === 'tokens' ? 0 : 1) + 2 * (perRow - 1);
}

export function rowsOf({ domain, perRow }: WebGpuTensor, counts: StepCounts): number {
  return perRow * (domain === 'tokens' ? counts.rows : counts.logitRows);
}
