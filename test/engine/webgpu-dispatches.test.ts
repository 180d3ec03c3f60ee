/** How many dispatches a layer of each architecture takes in a decode step, with the kernels of a GPU. */

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { randomModel } from '../../bench/support/random-model.ts';
import { type LoadedModel, loadModel } from '../../engine/load-model.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import type { Kernel } from '../../kernels/webgpu/kernels.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { bestVariants, GPU_VARIANTS, type Variants } from '../../kernels/webgpu/variants.ts';
import { testGpu } from '../webgpu.ts';

const test = suite('webgpu: dispatches of a decode step');
const gpu = await testGpu();

/** Of a layer: with float weights, with 8-bit weights, and with these and keys and values in bytes. */
const LAYERS: Readonly<Record<string, readonly [float: number, bytes: number, cacheOfBytes: number]>> = {
  'llama-gqa': [7, 7, 7],
  mixtral: [9, 9, 9],
  qwen2: [7, 7, 7],
  qwen3: [7, 7, 7],
  'qwen3-moe': [9, 9, 9],
  gemma2: [7, 7, 7],
  'gemma3-text': [7, 7, 7],
  'phi3-longrope': [7, 7, 7],
  olmo2: [10, 10, 10],
  granite: [7, 7, 7],
  smollm3: [7, 7, 7],
  cohere2: [7, 8, 8],
  'gpt-oss': [9, 9, 9],
};

/** Sizes at which rows and heads are whole blocks, as in models of use. */
const SIZES = {
  hidden_size: 128,
  head_dim: 32,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  intermediate_size: 128,
  moe_intermediate_size: 64,
};

/** Compiles kernels that do nothing. */
class IdlePipelines extends Pipelines {
  override async compile(kernel: Kernel): Promise<GPUComputePipeline> {
    const { device } = gpu as NonNullable<typeof gpu>;
    return device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [this.layout(kernel, 'uniform')] }),
      compute: { module: device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' }) },
    });
  }
}

/** Dispatches of the step that gives one more token. */
async function dispatches(
  config: object,
  layers: number,
  quantize?: 'q8_0',
  cache?: 'int8',
  more: Partial<Variants> = {},
): Promise<number> {
  if (!gpu) return 0;
  const plain = { immediates: false, constantArguments: false };
  const variants = { ...bestVariants(gpu.features), ...GPU_VARIANTS, ...plain, ...more };
  const device = WebGpuDevice.share(gpu, new IdlePipelines(gpu), variants);
  const profile = device.profile.bind(device);
  let count = 0;
  device.run = async (plan, step) => {
    count = (await profile(plan, step))[0].dispatches;
  };
  const source = await randomModel('made up', 'BF16', { ...config, ...SIZES, num_hidden_layers: layers });
  const limits = { maxNumSeqs: 1, maxModelLen: 64, maxNumBatchedTokens: 16 };
  const model: LoadedModel = await loadModel(source, { device, quantize, kvCacheDtype: cache, ...limits });
  const row = { tokens: [1], positions: [0], slots: [0], blockTables: [[0]], lengths: [1], logitRows: [0] };
  await model.forward(row);
  await model.close();
  return count;
}

function configOf(name: string): object {
  const url = new URL(`../oracle/models/${name}/config.json`, import.meta.url);
  const { layer_types, quantization_config, ...config } = JSON.parse(readFileSync(url, 'utf8'));
  return config;
}

const onTimedGpu = gpu?.features.timestamps ? test : test.skip;

for (const [name, wanted] of Object.entries(LAYERS)) {
  onTimedGpu(name, async () => {
    const config = configOf(name);
    const full = process.env.QUERN_TEST_FULL === '1';
    const ways: readonly [quantize?: 'q8_0', cache?: 'int8'][] = [[], ['q8_0'], ['q8_0', 'int8']];
    for (const [i, how] of ways.entries()) {
      if (i !== 1 && !full) continue;
      assert.is((await dispatches(config, 2, ...how)) - (await dispatches(config, 1, ...how)), wanted[i], how.join());
    }
  });
}

onTimedGpu('with norms by the last workgroup of the linear before them', async () => {
  const config = configOf('llama-gqa');
  const of = (layers: number) => dispatches(config, layers, 'q8_0', undefined, { lastNorm: true });
  assert.is((await of(2)) - (await of(1)), 5);
});

test.run();
