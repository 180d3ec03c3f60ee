/**
 * What a decode step costs the host on the WebGPU device: a model of as many layers as the shape has, but narrow, on Dawn's
 * null backend, which takes all commands and computes nothing. What a GPU's driver adds when commands are submitted is not in it.
 */

import { type LoadedModel, loadModel } from '../../engine/load-model.ts';
import { type Device, WebGpuDevice } from '../../kernels/index.ts';
import { createGpu } from '../../kernels/webgpu/adapter.ts';
import { GPU_VARIANTS, type Variants } from '../../kernels/webgpu/variants.ts';
import { generate } from './model-steps.ts';
import { randomModel, type Weights, weightsOf } from './random-model.ts';

/** Sizes at which the kernels are those of the full shape, in little memory. */
const NARROW = {
  hidden_size: 256,
  intermediate_size: 512,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 1024,
};

export interface HostCost {
  readonly set: string;
  readonly dispatches: number;
  /** Of a step that is encoded, submitted and not waited for: the least of all. */
  readonly microseconds: number;
}

export interface HostCostOptions {
  readonly shape: string;
  readonly quantization: Weights;
  readonly sets: readonly { readonly set: string; readonly variants?: Partial<Variants> }[];
  /** Rounds over all sets, and steps of each in a round. */
  readonly rounds: number;
  readonly steps: number;
}

export async function measureHostCost(options: HostCostOptions): Promise<HostCost[]> {
  const gpu = await createGpu('null');
  Object.defineProperty(globalThis, 'navigator', { value: { gpu }, configurable: true });
  const subjects = [];
  for (const { set, variants } of options.sets) subjects.push(await Subject.load(set, variants, options));
  for (let round = 0; round < options.rounds; round++) {
    for (const subject of subjects) await subject.run(options.steps);
  }
  return subjects;
}

class Subject implements HostCost {
  readonly set: string;
  readonly dispatches: number;
  microseconds = Number.POSITIVE_INFINITY;
  readonly #model: LoadedModel;

  static async load(set: string, variants: Partial<Variants> | undefined, options: HostCostOptions): Promise<Subject> {
    const device = await WebGpuDevice.create({ variants: { ...GPU_VARIANTS, compileAhead: false, ...variants } });
    const { format, quantize } = weightsOf(options.quantization);
    const model = await loadModel(await randomModel(options.shape, format, NARROW), {
      device,
      quantize,
      maxModelLen: options.steps,
      maxNumSeqs: 1,
      maxNumBatchedTokens: 16,
    });
    // Nothing is read, so that no step's commands are encoded while another one is waited for.
    device.readReduction = async () => {
      await new Promise(setImmediate);
      return [];
    };
    const run = device.run.bind(device);
    let dispatches = 0;
    device.run = async (plan, step) => {
      [{ dispatches }] = await device.profile(plan, step);
    };
    await generate(model, 1);
    const subject = new Subject(set, dispatches, model);
    device.run = (plan, step) => subject.#timed(run, plan, step);
    return subject;
  }

  private constructor(set: string, dispatches: number, model: LoadedModel) {
    this.set = set;
    this.dispatches = dispatches;
    this.#model = model;
  }

  async run(steps: number): Promise<void> {
    await generate(this.#model, steps);
  }

  async #timed(run: Device['run'], ...step: Parameters<Device['run']>): Promise<void> {
    const start = performance.now();
    await run(...step);
    this.microseconds = Math.min(this.microseconds, 1000 * (performance.now() - start));
  }
}
