/** What is in a model, from the headers of its files alone. */

import { blockShape, type WeightFormat } from '../kernels/index.ts';
import { describeDecoder } from './architectures/index.ts';
import { matchTensors, type WeightTensor } from './architectures/match-tensors.ts';
import { openCheckpoint } from './checkpoint/checkpoint.ts';
import type { Fields } from './checkpoint/fields.ts';
import type { ModelSource } from './checkpoint/model-source.ts';
import { readSafetensorsHeader } from './checkpoint/safetensors-header.ts';
import type { TensorIndex, TensorInfo } from './checkpoint/tensor-info.ts';
import { CheckpointError } from './errors.ts';
import { loadedFormat } from './quantization.ts';

export interface Inspection {
  readonly name: string;
  /** `model_type` of config.json, or what a GGUF file's architecture is called there. */
  readonly architecture: string;
  /** Why it does not run here; null when it does. */
  readonly unsupported: string | null;
  readonly tensors: readonly TensorInfo[];
  readonly parameters: number;
  /** Element types of the tensors, those with most bytes first. */
  readonly formats: readonly FormatShare[];
  /** Null for an architecture that is not known. */
  readonly decoder: DecoderSizes | null;
}

export interface FormatShare {
  readonly dtype: string;
  readonly tensors: number;
  readonly bytes: number;
}

export interface DecoderSizes {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  /** Longest sequence that the model is made for, in tokens. */
  readonly maxPositions: number;
  /** Bytes of the weights when they are loaded, by the option `quantize`; `stored`: without it. */
  readonly weightBytes: Readonly<Record<'stored' | 'q8_0' | 'q4_0', number>>;
  /** Bytes of keys and values for each token, by the option `kvCacheDtype`. */
  readonly kvBytesPerToken: Readonly<Record<'f32' | 'f16', number>>;
}

/**
 * @param source  a model's files, or a single safetensors file
 * @throws CheckpointError when the files are damaged or no model
 */
export async function inspectModel(source: ModelSource): Promise<Inspection> {
  const [file] = source.files;
  if (source.files.length === 1 && file.endsWith('.safetensors')) {
    const tensors = [...(await readSafetensorsHeader(source, file)).values()];
    return {
      ...summary(source, tensors),
      architecture: 'unknown',
      unsupported: 'a file without config.json',
      decoder: null,
    };
  }
  const { config, tensors: index } = await (await openCheckpoint(source)).readModel();
  const known = {
    ...summary(source, [...index.tensors.values()]),
    architecture: config.string('model_type', 'unknown'),
  };
  try {
    return { ...known, unsupported: null, decoder: sizesOf(config, index) };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    return { ...known, unsupported: error.message, decoder: null };
  }
}

function summary({ name }: ModelSource, tensors: readonly TensorInfo[]) {
  return { name, tensors, parameters: sum(tensors, elementsOf), formats: shares(tensors) };
}

function sizesOf(config: Fields, index: TensorIndex): DecoderSizes {
  const description = describeDecoder(config);
  const weights = [...matchTensors(description, index).values()];
  const { hiddenSize, heads, kvHeads, headDim, vocabSize, maxPositions, layers } = description;
  const cached = 2 * layers.length * kvHeads * headDim;
  return {
    ...{ layers: layers.length, hiddenSize, heads, kvHeads, headDim, vocabSize, maxPositions },
    weightBytes: {
      stored: sum(weights, (tensor) => loadedBytes(tensor)),
      q8_0: sum(weights, (tensor) => loadedBytes(tensor, 'Q8_0')),
      q4_0: sum(weights, (tensor) => loadedBytes(tensor, 'Q4_0')),
    },
    kvBytesPerToken: { f32: 4 * cached, f16: 2 * cached },
  };
}

function elementsOf({ shape }: TensorInfo): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Bytes of a tensor on a device, padding aside. */
function loadedBytes(tensor: WeightTensor, quantize?: WeightFormat): number {
  const { dtype, shape, unrounded } = tensor;
  // Norms and biases are kept as float32.
  if (shape.length < 2) return 4 * elementsOf(tensor);
  const { elements, bytes } = blockShape(loadedFormat(dtype, shape.at(-1) as number, unrounded ? undefined : quantize));
  return (elementsOf(tensor) / elements) * bytes;
}

function shares(tensors: readonly TensorInfo[]): FormatShare[] {
  const formats = [...new Set(tensors.map(({ dtype }) => dtype))].map((dtype) => {
    const of = tensors.filter((tensor) => tensor.dtype === dtype);
    return { dtype, tensors: of.length, bytes: sum(of, ({ byteLength }) => byteLength) };
  });
  return formats.sort((a, b) => b.bytes - a.bytes);
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
