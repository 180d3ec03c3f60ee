/** How large everything is that a loaded model keeps: step buffers, the longest sequence, the K/V cache. */

import { type Device, KV_BLOCK_SIZE, type StepLimits } from '../kernels/index.ts';
import type { DecoderDescription } from './architectures/description.ts';
import { RequestError } from './errors.ts';
import type { LoadOptions } from './types.ts';

export type SizeOptions = Pick<LoadOptions, 'maxModelLen' | 'maxNumSeqs' | 'maxNumBatchedTokens' | 'kvCacheBytes'>;

export interface ModelSizes {
  /** Longest sequence in tokens. */
  readonly maxModelLen: number;
  readonly steps: StepLimits;
  readonly cache: {
    readonly layers: number;
    readonly blocks: number;
    readonly kvHeads: number;
    readonly headDim: number;
  };
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
  const shape = { layers: description.layers.length, kvHeads, headDim };
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

function positiveInteger<Name extends keyof SizeOptions>(options: SizeOptions, name: Name): number | undefined {
  const value = options[name];
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RequestError(`${name} is ${value}; expected a positive integer`, name);
}
