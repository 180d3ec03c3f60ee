/** How large everything is that a loaded model keeps: step buffers, the longest sequence, the K/V cache. */

import { type Device, KV_BLOCK_SIZE, type KvFormat, type KvShape, type StepLimits } from '../kernels/index.ts';
import type { DecoderDescription } from './architectures/description.ts';
import { RequestError } from './errors.ts';
import type { LoadOptions } from './types.ts';

type IntegerOptions = Pick<LoadOptions, 'maxModelLen' | 'maxNumSeqs' | 'maxNumBatchedTokens' | 'kvCacheBytes'>;
export type SizeOptions = IntegerOptions & Pick<LoadOptions, 'kvCacheDtype'>;

export interface ModelSizes {
  /** Longest sequence in tokens. */
  readonly maxModelLen: number;
  readonly steps: StepLimits;
  readonly cache: KvShape & { readonly blocks: number };
}

const DEFAULT_MAX_SEQS = 16;
const DEFAULT_MAX_BATCHED_TOKENS = 512;
const DEFAULT_KV_CACHE_BYTES = 2 ** 30;
/** Rows of logits that a step has room for, for prompts whose every position is wanted and for drafted tokens. */
const MIN_LOGIT_ROWS = 32;

/**
 * Sizes from the options, or from the model where they say nothing. A cache of the default size holds `maxNumSeqs`
 * sequences of `maxModelLen` or 1 GiB, whichever is less, but at least one sequence; `maxModelLen` is by default the
 * model's own limit, or what the cache can hold.
 * @throws RequestError when an option is not a positive integer, or one sequence cannot fit.
 */
export function chooseSizes(description: DecoderDescription, device: Device, options: SizeOptions): ModelSizes {
  const givenSeqs = positiveInteger(options, 'maxNumSeqs');
  const givenRows = positiveInteger(options, 'maxNumBatchedTokens');
  const maxRows = givenRows ?? Math.max(DEFAULT_MAX_BATCHED_TOKENS, givenSeqs ?? 0);
  const maxSeqs = givenSeqs ?? Math.min(DEFAULT_MAX_SEQS, maxRows);
  if (maxSeqs > maxRows) {
    throw new RequestError(`maxNumSeqs is ${maxSeqs}; expected at most maxNumBatchedTokens, ${maxRows}`, 'maxNumSeqs');
  }
  const { maxPositions, kvHeads, headDim } = description;
  const shape = { layers: description.layers.length, kvHeads, headDim, format: kvFormat(options, device) };
  const blockBytes = device.kvBlockBytes(shape);
  const givenBytes = positiveInteger(options, 'kvCacheBytes');
  const affordable = Math.floor((givenBytes ?? DEFAULT_KV_CACHE_BYTES) / blockBytes);

  const maxModelLen =
    positiveInteger(options, 'maxModelLen') ?? Math.max(1, Math.min(maxPositions, affordable * KV_BLOCK_SIZE));
  if (maxModelLen > maxPositions) {
    throw new RequestError(`maxModelLen is ${maxModelLen}; this model reaches ${maxPositions}`, 'maxModelLen');
  }
  const blocksPerSeq = Math.ceil(maxModelLen / KV_BLOCK_SIZE);
  if (givenBytes !== undefined && affordable < blocksPerSeq) {
    throw new RequestError(
      `kvCacheBytes is ${givenBytes}; one sequence of maxModelLen ${maxModelLen} needs ${blocksPerSeq * blockBytes}: lower maxModelLen or raise kvCacheBytes`,
      'kvCacheBytes',
    );
  }
  const blocks = givenBytes ? affordable : Math.min(maxSeqs * blocksPerSeq, Math.max(affordable, blocksPerSeq));
  const maxLogitRows = Math.max(maxSeqs, Math.min(MIN_LOGIT_ROWS, maxRows));
  return {
    maxModelLen,
    steps: { maxRows, maxLogitRows, maxSlots: maxSeqs, maxBlocksPerSlot: blocksPerSeq },
    cache: { ...shape, blocks },
  };
}

function positiveInteger<Name extends keyof IntegerOptions>(options: IntegerOptions, name: Name): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RequestError(`${name} is ${value}; expected a positive integer`, name);
}

function kvFormat({ kvCacheDtype = 'f32' }: SizeOptions, device: Device): KvFormat {
  if (kvCacheDtype !== 'f32' && kvCacheDtype !== 'f16') {
    throw new RequestError(`kvCacheDtype is ${String(kvCacheDtype)}; expected f32 or f16`, 'kvCacheDtype');
  }
  if (kvCacheDtype === 'f16' && device.kind === 'webgpu') {
    throw new RequestError('kvCacheDtype is f16; expected f32 on the webgpu device', 'kvCacheDtype');
  }
  return kvCacheDtype === 'f16' ? 'F16' : 'F32';
}
