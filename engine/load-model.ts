/** From a checkpoint's files to a model that runs on a device. */

import type { Device } from '../kernels/index.ts';
import type { DecoderDescription } from './architectures/description.ts';
import { describeDecoder } from './architectures/index.ts';
import { matchTensors } from './architectures/match-tensors.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint/checkpoint.ts';
import { type GenerationConfig, readGenerationConfig } from './checkpoint/generation-config.ts';
import type { ModelSource } from './checkpoint/model-source.ts';
import { chooseSizes, type SizeOptions } from './choose-sizes.ts';
import { Decoder } from './decoder.ts';
import { ModelWeights } from './load-weights.ts';
import type { Model } from './model.ts';
import { quantizedFormat } from './quantization.ts';
import type { LoadOptions } from './types.ts';

export interface LoadModelOptions extends SizeOptions, Pick<LoadOptions, 'quantize' | 'onProgress' | 'signal'> {
  /** Where the model is to run. It belongs to the model from here on, and is closed when loading fails. */
  readonly device: Device;
  /** What the source holds, when it is known already. */
  readonly checkpoint?: Checkpoint;
}

export interface LoadedModel extends Model {
  readonly info: ModelInfo;
}

/** What is known of a loaded model beside its limits. */
export interface ModelInfo {
  readonly description: DecoderDescription;
  readonly generation: GenerationConfig;
  /** One line about what runs the kernels. */
  readonly device: string;
  /** Bytes on the device. */
  readonly weightBytes: number;
  readonly kvCacheBytes: number;
}

/**
 * Loads the model of a source. The source stays the caller's; it is not read after the promise settles.
 * @throws CheckpointError, RequestError for an option, DeviceError, or the signal's reason.
 */
export async function loadModel(source: ModelSource, options: LoadModelOptions): Promise<LoadedModel> {
  try {
    return await load(source, options);
  } catch (error) {
    await options.device.close();
    throw error;
  }
}

async function load(source: ModelSource, options: LoadModelOptions): Promise<LoadedModel> {
  const { device, signal } = options;
  signal?.throwIfAborted();
  const checkpoint = options.checkpoint ?? (await openCheckpoint(source));
  const files = await checkpoint.readModel();
  const description = describeDecoder(files.config);
  const generation = readGenerationConfig(files.config, files.generation, description.vocabSize);
  const tensors = matchTensors(description, files.tensors);
  signal?.throwIfAborted();

  // Everything large is allocated before the first byte is read, so that what does not fit fails at once.
  const weights = new ModelWeights(device, description, tensors, quantizedFormat(options.quantize));
  const sizes = chooseSizes(description, device, weights.byteLength, options);
  const cache = device.createKvCache(sizes.cache);
  await weights.fill(device, source, options);

  return Object.assign(new Decoder(device, description, weights, cache, sizes), {
    info: {
      description,
      generation,
      device: device.description,
      weightBytes: weights.byteLength,
      kvCacheBytes: cache.byteLength,
    },
  });
}
