/** What a plan's ops become: dispatches with their pipelines, bind groups and arguments, made once and replayed every step. */

import type { WeightFormat } from '../formats.ts';
import { type Argument, type ArgumentForm, argumentBytes } from './arguments.ts';
import type { WebGpuConstant, WebGpuRoutes, WebGpuTensor } from './buffers.ts';
import type { Gpu, GpuMemory } from './gpu.ts';
import { USAGE } from './gpu.ts';
import { acrossThreads, KERNELS, type Kernel, type KernelConstants } from './kernels.ts';
import { blocksOf } from './layout.ts';
import type { Pipelines } from './pipelines.ts';
import type { WeightRun } from './stack.ts';
import type { StepBuffers, StepCounts } from './step-buffers.ts';
import type { Variants } from './variants.ts';

/** Threads of a workgroup where a thread takes an element of its own. */
export const ELEMENT_THREADS = 64;

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
  /** Its arguments, where they come as immediates. */
  readonly immediates: ArrayBuffer | undefined;
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

/** A linear op whose weights are one run of rows. */
export interface RunLinear {
  readonly x: WebGpuTensor;
  readonly run: WeightRun;
  readonly bias: WebGpuConstant | undefined;
}

/** Experts' matrices in one buffer. */
export interface RunExperts {
  readonly x: WebGpuTensor;
  /** Routes that share a row of x. */
  readonly sharing: number;
  readonly routes: WebGpuRoutes;
  readonly format: WeightFormat;
  readonly vectors: number;
  readonly buffer: GPUBuffer;
  /** Where the first expert's rows begin, of one weight or two, and how many rows the experts of each have. */
  readonly bases: readonly number[];
  readonly expertRows: number;
  readonly bias: WebGpuConstant | undefined;
  /** Routes are few enough. */
  readonly isFew: (routes: number) => boolean;
}

/** A norm of a tensor in its own place. */
export interface NormInPlace {
  readonly weight: WebGpuConstant;
  readonly eps: number;
}

/** Where the kernels for few rows of such an op are. */
export type FewRows<Op> = Op & { readonly at: number; readonly kernels: number };

/** The 8-bit form of a tensor. */
export type Quantized = ReturnType<WebGpuTensor['quantizedCopy']>;

/**
 * Makes kernels that write a tensor, and its 8-bit form where `isWanted`; else those buffers are left alone. Where they are
 * not `asFloats`, too, nothing reads the tensor itself. Always the same number, with gaps.
 */
export type QuantizingKernels = (
  form: Quantized,
  isWanted: boolean,
  asFloats: boolean,
) => readonly (Recorded | undefined)[];

export class Recording {
  readonly gpu: Gpu;
  readonly memory: GpuMemory;
  readonly variants: Variants;
  readonly step: StepBuffers;
  readonly unused: UnusedBindings;
  readonly #pipelines: Pipelines;
  readonly #recorded: (Recorded | undefined)[] = [];
  /** Kernels for few rows of the linear op that wrote a tensor last, which another op may do the work of; the same of experts. */
  readonly #linears = new Map<WebGpuTensor, FewRows<RunLinear>>();
  readonly #experts = new Map<WebGpuTensor, FewRows<RunExperts>>();
  /** Norms that the next op may do as well. */
  readonly #norms = new Map<WebGpuTensor, NormInPlace & { readonly at: number }>();
  /** Rows for each route that are those of another tensor. */
  readonly #gathered = new Map<WebGpuTensor, WebGpuTensor>();
  /** Where the kernels that wrote a tensor last were recorded, and what makes them write its 8-bit form too. */
  readonly #quantizing = new Map<WebGpuTensor, { readonly at: number; readonly kernels: QuantizingKernels }>();
  /** Tensors whose 8-bit form is that of their present values. */
  readonly #quantized = new Set<WebGpuTensor>();
  /** Tensors that are read as they are. */
  readonly #floats = new Set<WebGpuTensor>();

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
  add(written: readonly WebGpuTensor[], ...kernels: readonly (Recorded | undefined)[]): void {
    this.#recorded.push(...kernels);
    for (const tensor of written) {
      this.#quantized.delete(tensor);
      this.#quantizing.delete(tensor);
      this.#floats.delete(tensor);
      this.#linears.delete(tensor);
      this.#experts.delete(tensor);
      this.#norms.delete(tensor);
      this.#gathered.delete(tensor);
    }
  }

  /** Says that the last `kernels` recorded are those for few rows of the linear op that writes `out`. */
  noteFewRows(out: WebGpuTensor, kernels: number, linear: RunLinear): void {
    this.#linears.set(out, { ...linear, kernels, at: this.#recorded.length - kernels });
  }

  /** The same of experts. */
  noteFewRoutes(out: WebGpuTensor, kernels: number, experts: RunExperts): void {
    this.#experts.set(out, { ...experts, kernels, at: this.#recorded.length - kernels });
  }

  /** Takes those kernels out of the plan, for an op that does their work. */
  takeFewRows({ at, kernels }: FewRows<unknown>): void {
    this.#recorded.fill(undefined, at, at + kernels);
  }

  /** What an op may {@link takeFewRows}: nothing was recorded since that might read `out`. */
  fewRows(out: WebGpuTensor): FewRows<RunLinear> | undefined {
    return this.#ifLast(this.#linears.get(out));
  }

  fewRoutes(out: WebGpuTensor): FewRows<RunExperts> | undefined {
    return this.#ifLast(this.#experts.get(out));
  }

  #ifLast<Op>(few: FewRows<Op> | undefined): FewRows<Op> | undefined {
    return few && few.at + few.kernels === this.#recorded.length ? few : undefined;
  }

  /** Says that the last kernel recorded is a norm of `x` in its own place. */
  noteNorm(x: WebGpuTensor, norm: NormInPlace): void {
    this.#norms.set(x, { ...norm, at: this.#recorded.length - 1 });
  }

  /** Takes that kernel out of the plan, for the next op to do its work; undefined where there is none. */
  takeNorm(x: WebGpuTensor): NormInPlace | undefined {
    const norm = this.#norms.get(x);
    if (!norm || norm.at + 1 !== this.#recorded.length || this.#quantized.has(x)) return undefined;
    this.#recorded[norm.at] = undefined;
    return norm;
  }

  /** Says that the rows of `out` are to be those of `x`, which experts read in their place. */
  noteGathered(out: WebGpuTensor, x: WebGpuTensor): void {
    this.add([out]);
    this.#gathered.set(out, x);
  }

  /** Where an expert finds the rows of `x`, and how many routes share one. */
  gathered(x: WebGpuTensor): { readonly x: WebGpuTensor; readonly sharing: number } {
    const source = this.#gathered.get(x);
    return source ? { x: source, sharing: x.perRow } : { x, sharing: 1 };
  }

  /** Records kernels that write `out`, and its 8-bit form as well if an op asks for that before `out` changes. */
  addQuantizing(out: WebGpuTensor, kernels: QuantizingKernels): void {
    const at = this.#recorded.length;
    const [codes, scales] = this.unused.write;
    this.add([out], ...kernels({ codes, scales }, false, true));
    this.#quantizing.set(out, { at, kernels });
  }

  /**
   * The 8-bit form of a tensor, made by what made the tensor, or else by a kernel of its own.
   * @param alone  the op does not read the tensor itself as well
   */
  quantized(x: WebGpuTensor, alone = false): Quantized {
    if (!alone) this.readFloats(x);
    const copy = x.quantizedCopy(this.memory);
    if (this.#quantized.has(x)) return copy;
    this.#quantized.add(x);
    if (this.#quantizing.has(x)) {
      this.#recordAgain(x);
    } else {
      this.#recorded.push(this.quantizing(x, copy, () => true));
    }
    return copy;
  }

  /** The kernel that does nothing but make the 8-bit form of `x`, for such numbers of rows. */
  quantizing(x: WebGpuTensor, { codes, scales }: Quantized, takes: (rows: number) => boolean): Recorded {
    const blocks = blocksOf(x.cols);
    return {
      kernel: KERNELS.quantizeRows,
      args: [blocks, x.stride, domainCode(x)],
      buffers: [x.buffer, codes, scales],
      workgroups: (counts) => {
        const rows = rowsOf(x, counts);
        return [takes(rows) ? Math.ceil((rows * blocks) / ELEMENT_THREADS) : 0];
      },
    };
  }

  /** Says that an op reads a tensor as it is, not in its 8-bit form alone. */
  readFloats(x: WebGpuTensor): void {
    if (this.#floats.has(x)) return;
    this.#floats.add(x);
    if (this.#quantized.has(x)) this.#recordAgain(x);
  }

  /** Has the kernels that made `x` make its 8-bit form as well. */
  #recordAgain(x: WebGpuTensor): void {
    const quantizing = this.#quantizing.get(x);
    if (!quantizing) return;
    const kernels = quantizing.kernels(x.quantizedCopy(this.memory), true, this.#floats.has(x));
    this.#recorded.splice(quantizing.at, kernels.length, ...kernels);
  }

  /** Makes the bind groups, and writes the arguments that are in none of the kernels and commands. */
  finish(): Dispatch[] {
    const recorded = this.#recorded.filter((kernel) => kernel !== undefined);
    const uniforms = this.#uniforms(recorded.filter((one) => this.#formOf(one) === 'uniform'));
    return recorded.map((one) => {
      const { kernel, constants = {}, args, buffers, workgroups } = one;
      const form = this.#formOf(one);
      const uniform = uniforms.get(one);
      const bound = [this.step.buffer, ...buffers];
      const bindGroup = this.gpu.device.createBindGroup({
        label: kernel.name,
        layout: this.#pipelines.layout(kernel, form),
        entries: [
          ...(uniform ? [{ binding: 0, resource: uniform }] : []),
          ...bound.map((buffer, at) => ({ binding: at + 1, resource: { buffer } })),
        ],
      });
      const dispatch: Dispatch = {
        name: kernel.name,
        bindGroup,
        immediates: form === 'immediate' ? argumentBytes(args) : undefined,
        workgroups,
        pipeline: undefined,
        compile: async () => {
          const variant = acrossThreads(kernel, constants ?? {}, this.variants);
          dispatch.pipeline ??= await this.#pipelines.compile(...variant, args, form);
        },
      };
      return dispatch;
    });
  }

  #formOf({ kernel, args }: Recorded): ArgumentForm {
    if (this.variants.constantArguments && !kernel.manyRows) return 'constant';
    return this.variants.immediates && 4 * args.length <= this.gpu.features.immediateBytes ? 'immediate' : 'uniform';
  }

  /** A part of one uniform buffer for each kernel, with its arguments. */
  #uniforms(kernels: readonly Recorded[]): Map<Recorded, GPUBufferBinding> {
    const { device } = this.gpu;
    const slotBytes = Math.max(256, device.limits.minUniformBufferOffsetAlignment);
    const bytes = new Uint8Array(slotBytes * kernels.length);
    if (bytes.length === 0) return new Map();
    const buffer = this.memory.allocate(bytes.length, 'kernel arguments', USAGE.UNIFORM | USAGE.COPY_DST);
    for (const [i, { args }] of kernels.entries()) bytes.set(new Uint8Array(argumentBytes(args)), i * slotBytes);
    device.queue.writeBuffer(buffer, 0, bytes);
    return new Map(kernels.map((kernel, i) => [kernel, { buffer, offset: i * slotBytes, size: slotBytes }]));
  }
}

/** How `step.wgsl` is told which rows a tensor has. */
export function domainCode({ domain, perRow }: WebGpuTensor): number {
  return (domain === 'tokens' ? 0 : 1) + 2 * (perRow - 1);
}

export function rowsOf({ domain, perRow }: WebGpuTensor, counts: StepCounts): number {
  return perRow * (domain === 'tokens' ? counts.rows : counts.logitRows);
}
