/**
 * Encodes a plan's dispatches for a step: those that have something to do at its row counts. Steps of one sequence after
 * another take the same dispatches again, so the next step's commands can be encoded while the GPU is at this one's.
 */

import type { ImmediatesEncoder } from './adapter.ts';
import type { Gpu } from './gpu.ts';
import type { Dispatch } from './recording.ts';
import type { StepCounts } from './step-buffers.ts';

/** A dispatch of one step. */
export interface Work {
  readonly name: string;
  readonly pipeline: GPUComputePipeline;
  readonly bindGroup: GPUBindGroup;
  readonly immediates: ArrayBuffer | undefined;
  readonly size: readonly [x: number, y: number, z: number];
}

/** Beyond so many rows a step is long, and the next is hardly like it. */
const AHEAD_ROWS = 64;

/** Dispatches that a step submits first, for the GPU to begin; each part has twice as many as the last, while it is busy. */
const FIRST_DISPATCHES = 16;

export class PlanEncoder {
  readonly #gpu: Gpu;
  readonly #dispatches: readonly Dispatch[];
  /** What the last step had to do, and for which counts. */
  #last: { readonly key: string; readonly rows: number; readonly work: readonly Work[] } | undefined;
  /** Commands of {@link #last}, once more. */
  #ahead: readonly GPUCommandBuffer[] | undefined;

  constructor(gpu: Gpu, dispatches: readonly Dispatch[]) {
    this.#gpu = gpu;
    this.#dispatches = dispatches;
  }

  /** Starts to compile all pipelines, side by side. */
  compile(): void {
    // Whoever encodes sees the failure.
    for (const { compile } of this.#dispatches) compile().catch(() => undefined);
  }

  /** What a step of such counts has to do, its pipelines compiled. @throws DeviceError where one does not compile */
  async work(counts: StepCounts): Promise<readonly Work[]> {
    const key = Object.values(counts).join();
    if (this.#last?.key === key) return this.#last.work;
    const most = this.#gpu.limits.workgroupsPerDimension;
    const wanted = this.#dispatches.flatMap((dispatch) => {
      const [count, times = 1] = dispatch.workgroups(counts);
      if (count * times === 0) return [];
      // More than one dimension holds are folded into a second one; kernels put them together again.
      const folds = Math.ceil(count / most);
      return [{ dispatch, size: [Math.ceil(count / folds), folds, times] as const }];
    });
    await Promise.all(wanted.map(({ dispatch }) => dispatch.pipeline ?? dispatch.compile()));
    const work = wanted.map(({ dispatch: { name, bindGroup, immediates, pipeline }, size }) => ({
      name,
      bindGroup,
      immediates,
      pipeline: pipeline as GPUComputePipeline,
      size,
    }));
    this.#last = { key, rows: counts.rows, work };
    this.#ahead = undefined;
    return work;
  }

  /** Submits {@link work}, part by part, so that the GPU begins before the host has encoded all. */
  submit(work: readonly Work[]): void {
    const { queue } = this.#gpu.device;
    const ahead = work === this.#last?.work ? this.#ahead : undefined;
    this.#ahead = undefined;
    if (ahead) for (const commands of ahead) queue.submit([commands]);
    else for (const part of parts(work)) queue.submit([this.#encode(part)]);
  }

  /** Encodes the last step's commands again, for a step of the same counts to find. */
  encodeAhead(): void {
    if (!this.#last || this.#ahead || this.#last.rows > AHEAD_ROWS) return;
    this.#ahead = parts(this.#last.work).map((part) => this.#encode(part));
  }

  #encode(work: readonly Work[]): GPUCommandBuffer {
    const encoder = this.#gpu.device.createCommandEncoder();
    encodePass(encoder, work);
    return encoder.finish();
  }
}

function parts(work: readonly Work[]): (readonly Work[])[] {
  const list = [];
  for (let begin = 0, end = FIRST_DISPATCHES; begin < work.length; begin = end, end = 2 * end + FIRST_DISPATCHES) {
    list.push(work.slice(begin, end));
  }
  return list;
}

/** One pass for several: passes cost more than dispatches. */
export function encodePass(
  encoder: GPUCommandEncoder,
  work: readonly Work[],
  descriptor?: GPUComputePassDescriptor,
): void {
  const pass: ImmediatesEncoder = encoder.beginComputePass(descriptor);
  for (const { pipeline, bindGroup, immediates, size } of work) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    // Dawn's binding for Node takes a buffer in a quarter of the time that a view of one takes it.
    if (immediates) pass.setImmediates?.(0, immediates);
    pass.dispatchWorkgroups(size[0], size[1], size[2]);
  }
  pass.end();
}
