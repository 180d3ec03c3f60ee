/** How large everything is that a loaded model keeps: step buffers, the longest sequence, the K/V cache. */

import { type Device, KV_BLOCK_SIZE, type KvFormat, type KvShape, type StepLimits } from '../kernels/index.ts';
import type { DecoderDescription } from './architectures/description.ts';
import { RequestError } from './errors.ts';
import type { LoadOptions } from './types.ts';

type IntegerOptions = Pick<LoadOptions, 'maxModelLen' | 'maxNumSeqs' | 'maxNumBatchedTokens' | 'kvCacheBytes'>;
export type SizeOptions = IntegerOptions & Pick<LoadOptions, 'kvCacheDtype' | 'gpuMemoryUtilization'>;

export interface ModelSizes {
  /** Longest sequence in tokens. */
  readonly maxModelLen: number;
  readonly steps: StepLimits;
  readonly cache: KvShape & { readonly blocks: number };
}

const DEFAULT_MAX_SEQS = 16;
const DEFAULT_MAX_BATCHED_TOKENS = 512;
/** Share of the device's memory for keys and values when nobody says, and bytes where its memory is not known. */
const DEFAULT_KV_CACHE_SHARE = 1 / 8;
const DEFAULT_KV_CACHE_BYTES = 2 ** 30;
/** Rows of logits that a step has room for, for prompts whose every position is wanted and for drafted tokens. */
const MIN_LOGIT_ROWS = 32;

/**
 * Sizes from the options, or from the model where they say nothing. A cache holds `kvCacheBytes` where they are given; else
 * `maxNumSeqs` sequences of `maxModelLen`, or what its share of the memory has room for: what the weights leave of
 * `gpuMemoryUtilization`, or an eighth. `maxModelLen` is by default the model's own limit, or what the cache can hold.
 * @param weightBytes  what the weights take on the device
 * @throws RequestError when an option is out of its range, or one sequence cannot fit.
 */
export function chooseSizes(
  description: DecoderDescription,
  device: Device,
  weightBytes: number,
  options: SizeOptions,
): ModelSizes {
  const givenSeqs = positiveInteger(options, 'maxNumSeqs');
  const givenRows = positiveInteger(options, 'maxNumBatchedTokens');
  const maxRows = givenRows ?? Math.max(DEFAULT_MAX_BATCHED_TOKENS, givenSeqs ?? 0);
  const maxSeqs = givenSeqs ?? Math.min(DEFAULT_MAX_SEQS, maxRows);
  if (maxSeqs > maxRows) {
    throw new RequestError(`maxNumSeqs is ${maxSeqs}; expected at most maxNumBatchedTokens, ${maxRows}`, 'maxNumSeqs');
  }
  const { maxPositions, kvHeads, headDim } = description;
  const shape = { layers: description.layers.length, kvHeads, headDim, format: kvFormat(options) };
  const blockBytes = device.kvBlockBytes(shape);
  const givenBytes = positiveInteger(options, 'kvCacheBytes');
  const share = shareBytes(options, device, weightBytes);
  const affordable = Math.floor((givenBytes ?? share.bytes) / blockBytes);

  const maxModelLen =
    positiveInteger(options, 'maxModelLen') ?? Math.max(1, Math.min(maxPositions, affordable * KV_BLOCK_SIZE));
  if (maxModelLen > maxPositions) {
    throw new RequestError(`maxModelLen is ${maxModelLen}; this model reaches ${maxPositions}`, 'maxModelLen');
  }
  const blocksPerSeq = Math.ceil(maxModelLen / KV_BLOCK_SIZE);
  const limit = givenBytes === undefined ? share.option : 'kvCacheBytes';
  if (limit !== undefined && affordable < blocksPerSeq) {
    const found =
      givenBytes === undefined
        ? `${limit} leaves ${share.bytes} bytes for keys and values`
        : `${limit} is ${givenBytes}`;
    throw new RequestError(
      `${found}; one sequence of maxModelLen ${maxModelLen} needs ${blocksPerSeq * blockBytes}: lower maxModelLen or raise ${limit}`,
      limit,
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

/** Bytes that a share of the memory leaves for keys and values, and the option that says so. */
function shareBytes({ gpuMemoryUtilization: share, kvCacheBytes }: SizeOptions, device: Device, weightBytes: number) {
  const option = 'gpuMemoryUtilization';
  const { memoryBytes } = device;
  if (share === undefined) {
    const bytes = memoryBytes === undefined ? DEFAULT_KV_CACHE_BYTES : Math.floor(DEFAULT_KV_CACHE_SHARE * memoryBytes);
    return { bytes, option: undefined };
  }
  if (!(share > 0 && share <= 1)) throw new RequestError(`${option} is ${share}; expected above 0, at most 1`, option);
  if (kvCacheBytes !== undefined) throw new RequestError(`${option} and kvCacheBytes are given; expected one`, option);
  if (memoryBytes === undefined) {
    throw new RequestError(
      `${option} is ${share}; the ${device.kind} device does not tell its memory, expected kvCacheBytes`,
      option,
    );
  }
  return { bytes: Math.max(0, Math.floor(share * memoryBytes) - weightBytes), option };
}

const KV_FORMATS: ReadonlyMap<unknown, KvFormat> = new Map([
  ['auto', 'F32'],
  ['f32', 'F32'],
  ['f16', 'F16'],
  ['int8', 'I8'],
]);

function kvFormat({ kvCacheDtype = 'auto' }: SizeOptions): KvFormat {
  const format = KV_FORMATS.get(kvCacheDtype);
  if (format === undefined) {
    const names = [...KV_FORMATS.keys()].join(', ');
    throw new RequestError(`kvCacheDtype is ${String(kvCacheDtype)}; expected one of ${names}`, 'kvCacheDtype');
  }
  return format;
}
