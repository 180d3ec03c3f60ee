/** A GGUF file, or several that make up one model, as a checkpoint. */

import { dequantize, type FileFormat } from '../../../kernels/index.ts';
import { type GgufTokenizerFiles, TokenizerError, tokenizerFilesOfGguf } from '../../../tokenizer/index.ts';
import { CheckpointError } from '../../errors.ts';
import type { Checkpoint } from '../checkpoint.ts';
import { Fields } from '../fields.ts';
import { show } from '../json.ts';
import type { ModelSource } from '../model-source.ts';
import type { TensorInfo } from '../tensor-info.ts';
import { configOfGguf } from './config.ts';
import { type GgufHeader, readGgufHeader } from './header.ts';
import { ggufParts } from './split.ts';
import { ROPE_FACTORS, renameTensors } from './tensor-names.ts';

/** Most factors that a rope tensor may hold: half of a head. */
const MAX_FACTORS = 65_536;

/**
 * Reads the headers of a model's files.
 * @param file  the model's file, or the first of its parts
 * @throws CheckpointError
 */
export async function openGguf(source: ModelSource, file: string): Promise<Checkpoint> {
  const headers = await readParts(source, file);
  const { metadata } = headers[0];
  const tensors = joinTensors(headers);
  const tokenizer = metadata.has('tokenizer.ggml.tokens') ? readTokenizer(file, metadata) : undefined;
  return {
    async readModel() {
      const config = configOfGguf({
        file,
        metadata,
        shapeOf: (name) => tensors.get(name)?.shape,
        ropeFactors: await readRopeFactors(source, tensors),
        eosTokenIds: tokenizer?.eosTokenIds ?? [],
      });
      const sizes = {
        modelType: config.string('model_type'),
        headDim: config.integer('head_dim', { min: 1, max: 2 ** 24 }),
      };
      return {
        config,
        generation: samplingOf(file, metadata),
        tensors: { file, tensors: renameTensors(tensors.values(), sizes) },
      };
    },
    async readTokenizer() {
      if (tokenizer !== undefined) return tokenizer;
      throw new CheckpointError(`${file}: no tokenizer.ggml.tokens; expected a model with its vocabulary`);
    },
  };
}

function readTokenizer(file: string, metadata: GgufHeader['metadata']): GgufTokenizerFiles {
  try {
    return tokenizerFilesOfGguf(metadata);
  } catch (error) {
    if (error instanceof TokenizerError) throw new CheckpointError(`${file}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function readParts(source: ModelSource, file: string): Promise<readonly GgufHeader[]> {
  const first = await readGgufHeader(source, file);
  const count = first.metadata.get('split.count') ?? 1;
  const parts = ggufParts(file);
  if (count !== parts.length && !(count === 0 && parts.length === 1)) {
    throw new CheckpointError(`${file}: split.count is ${show(String(count))}; the name says ${parts.length}`);
  }
  const headers = [first];
  for (const [i, part] of parts.entries()) {
    if (i > 0) headers.push(await readGgufHeader(source, part));
    const number = headers[i].metadata.get('split.no') ?? 0;
    if (number !== i) throw new CheckpointError(`${part}: split.no is ${show(String(number))}; expected ${i}`);
  }
  return headers;
}

function joinTensors(headers: readonly GgufHeader[]): ReadonlyMap<string, TensorInfo> {
  const tensors = new Map<string, TensorInfo>();
  for (const { file, tensors: own } of headers) {
    for (const [name, tensor] of own) {
      if (tensors.has(name)) throw new CheckpointError(`${file}: tensor ${show(name)} is in another part, too`);
      tensors.set(name, tensor);
    }
  }
  const [{ file, metadata }] = headers;
  const expected = metadata.get('split.tensors.count');
  if (headers.length > 1 && expected !== undefined && expected !== tensors.size) {
    throw new CheckpointError(`${file}: split.tensors.count is ${expected}; the parts hold ${tensors.size} tensors`);
  }
  return tensors;
}

async function readRopeFactors(source: ModelSource, tensors: ReadonlyMap<string, TensorInfo>) {
  const factors = new Map<string, readonly number[]>();
  for (const name of ROPE_FACTORS) {
    const tensor = tensors.get(name);
    if (tensor === undefined) continue;
    if (tensor.dtype !== 'F32' || tensor.shape.length !== 1 || tensor.shape[0] > MAX_FACTORS) {
      throw new CheckpointError(
        `${tensor.file}: tensor ${show(name)} has ${tensor.dtype} ${show(tensor.shape)}; expected a few factors in F32`,
      );
    }
    const bytes = new Uint8Array(tensor.byteLength);
    await source.read(tensor.file, tensor.offset, bytes);
    factors.set(name, Array.from(dequantize(tensor.dtype as FileFormat, bytes)));
  }
  return factors;
}

/** The makers' advice, in the terms of generation_config.json. */
function samplingOf(file: string, metadata: GgufHeader['metadata']): Fields {
  const names = {
    temperature: 'temp',
    top_k: 'top_k',
    top_p: 'top_p',
    min_p: 'min_p',
    repetition_penalty: 'penalty_repeat',
  };
  const given = Object.entries(names).map(([name, key]) => [name, metadata.get(`general.sampling.${key}`)] as const);
  return new Fields(file, Object.fromEntries(given.filter(([, value]) => value !== undefined)));
}
