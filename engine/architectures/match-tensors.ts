/** Holds a checkpoint's tensors against a decoder description, before anything is allocated for either. */

import { FILE_FORMATS, type FileFormat } from '../../kernels/index.ts';
import { show } from '../checkpoint/json.ts';
import type { TensorIndex, TensorInfo } from '../checkpoint/tensor-info.ts';
import { CheckpointError } from '../errors.ts';
import type { DecoderDescription, LinearDescription } from './description.ts';
import { neededTensors } from './needed-tensors.ts';

/** A tensor in a format that weights may have. */
export interface WeightTensor extends TensorInfo {
  readonly dtype: FileFormat;
  /** See {@link LinearDescription.unrounded}. */
  readonly unrounded?: boolean;
}

/**
 * The tensors that the decoder needs, by name: matrices have two dimensions, norms and biases one.
 * @throws CheckpointError when one is missing or has another shape or element type, or when there are others that the
 * decoder would leave out.
 */
export function matchTensors(description: DecoderDescription, index: TensorIndex): ReadonlyMap<string, WeightTensor> {
  const matched = new Map<string, WeightTensor>();
  // The first that is missing ends it, however many a config.json asks for.
  for (const { name, shape, ...more } of neededTensors(description)) {
    const tensor = index.tensors.get(name);
    if (tensor === undefined) {
      throw new CheckpointError(
        `${index.file}: no tensor ${show(name)} ${show(shape)}, which this ${description.modelType} model needs`,
      );
    }
    matched.set(name, { ...more, ...checkTensor(tensor, shape) });
  }
  for (const tensor of index.tensors.values()) {
    if (!matched.has(tensor.name) && !isHarmless(tensor.name, description)) {
      throw new CheckpointError(
        `${tensor.file}: tensor ${show(tensor.name)} has no place in the ${description.modelType} model that config.json describes`,
      );
    }
  }
  return matched;
}

function checkTensor(tensor: TensorInfo, shape: readonly number[]): WeightTensor {
  const wrong = (found: string, expected: string) =>
    new CheckpointError(`${tensor.file}: tensor ${show(tensor.name)} has ${found}; expected ${expected}`);
  if (tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i])) {
    throw wrong(`shape ${show(tensor.shape)}`, `${show(shape)} from config.json`);
  }
  const dtype = FILE_FORMATS.find((type) => type === tensor.dtype);
  if (dtype === undefined) throw wrong(`dtype ${tensor.dtype}`, 'one of F32, F16, BF16');
  return { ...tensor, dtype };
}

/** Tensors that some writers store though they follow from the rest: rope frequencies, the head of a tied model. */
function isHarmless(name: string, description: DecoderDescription): boolean {
  const tied = description.head === description.embedding;
  return name.endsWith('.rotary_emb.inv_freq') || (tied && name === 'lm_head.weight');
}
