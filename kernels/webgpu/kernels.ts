/** The kernels as data: which WGSL files make one, what it binds, and which of its constants a pipeline may set. */

import type { Activation, KvFormat } from '../contract.ts';
import { isQuantized, type WeightFormat } from '../formats.ts';
import { isAffine } from './layout.ts';
import type { AffineFormat } from './pack-affine.ts';
import type { ShaderName } from './shaders.ts';
import { SPLIT } from './step-buffers.ts';
import { type FeatureVariants, MOST_SPAN } from './variants.ts';

/** How a kernel uses a buffer. */
export type BindingKind = 'uniform' | 'read' | 'write';

export interface Kernel {
  readonly name: string;
  /** WGSL files, in the order in which they are joined. */
  readonly files: readonly ShaderName[];
  /** From binding 2 on: 0 has its arguments, if a buffer does, and 1 the step. */
  readonly bindings: readonly BindingKind[];
  /** For products of many rows: they take long enough that one pipeline may serve all shapes, its arguments being read. */
  readonly manyRows?: boolean;
}

/** Values for `const` declarations of a kernel's files. */
export type KernelConstants = Readonly<Record<string, number | boolean>>;

/** Threads that bring the columns of a block to `quantize-four.wgsl`. */
const BLOCK_THREADS = 8;

/** Sums over a workgroup's threads, and blocks rounded to 8 bits by those that make them: see {@link acrossThreads}. */
const SUM_THREADS: readonly ShaderName[] = ['span-plain', 'sum-threads'];
const QUANTIZE_FOUR: readonly ShaderName[] = ['maxima-plain', 'quantize-four'];

/** A kernel with the files and constants by which its threads tell each other, within subgroups where these are used. */
export function acrossThreads(
  kernel: Kernel,
  constants: KernelConstants,
  { subgroups }: FeatureVariants,
): readonly [Kernel, KernelConstants] {
  if (!subgroups) return [kernel, constants];
  const files = kernel.files.flatMap((file): readonly ShaderName[] => {
    if (file === 'span-plain') return ['span-subgroups'];
    if (file === 'maxima-plain' && subgroups >= BLOCK_THREADS) return ['maxima-subgroups'];
    if (file === 'tile-weights-plain' && suitsTiles(constants)) return ['span-subgroups', 'tile-weights-subgroups'];
    return [file];
  });
  const span = Math.min(subgroups, Number(constants.THREADS ?? MOST_SPAN));
  return [{ ...kernel, files }, files.includes('span-subgroups') ? { ...constants, SPAN: span } : constants];
}

/** True where each position of a split has a thread, and heads leave room for the maxima of spans. */
function suitsTiles({ THREADS, HEAD_DIM }: KernelConstants): boolean {
  return THREADS === SPLIT && Number(HEAD_DIM) <= 256;
}

/** Value of `ACTIVATION` in `activate.wgsl`. */
export const ACTIVATION_CODE: Readonly<Record<Activation, number>> = {
  silu: 0,
  gelu_tanh: 1,
  quick_gelu: 2,
  gelu: 3,
  relu: 4,
};

const WEIGHT_FILE: Readonly<Record<Exclude<WeightFormat, AffineFormat>, ShaderName>> = {
  F32: 'weight-f32',
  F16: 'weight-f16',
  BF16: 'weight-bf16',
  Q8_0: 'weight-q8-0',
  Q4_0: 'weight-q4-0',
};

/** What reads a format's codes, and what reads its scales and mins. */
const AFFINE_FILES: Readonly<Record<AffineFormat, readonly ShaderName[]>> = {
  Q4_1: ['codes-nibbles', 'factors-half-min'],
  Q5_1: ['codes-bytes', 'factors-half-min'],
  Q4_K: ['codes-nibbles', 'factors-k'],
  Q5_K: ['codes-bytes', 'factors-k'],
  Q6_K: ['codes-bytes', 'factors-q6-k'],
  IQ4_NL: ['table-iq4-nl', 'codes-table', 'factors-half'],
  MXFP4: ['table-mxfp4', 'codes-table', 'factors-exponent'],
};

/** What reads the weights of a format that is read as floats. */
function weightFiles(format: keyof typeof WEIGHT_FILE, { halves }: Pick<FeatureVariants, 'halves'>): ShaderName[] {
  return format === 'F16' ? [widenFile(halves), WEIGHT_FILE[format]] : [WEIGHT_FILE[format]];
}

/** What makes floats of halves, for the files that read them. */
function widenFile(halves: boolean): ShaderName {
  return halves ? 'widen-f16' : 'widen-plain';
}

/** What reads a format's weights, and what multiplies a block of them by one of x. */
function productFiles(format: WeightFormat, { packedDot, halves }: FeatureVariants) {
  const dot: ShaderName[] = isQuantized(format) ? [packedDot ? 'dot-packed' : 'dot-plain'] : [];
  if (isAffine(format)) return { dot, weight: AFFINE_FILES[format], product: 'product-affine' } as const;
  if (!isQuantized(format)) return { dot, weight: weightFiles(format, { halves }), product: 'product-float' } as const;
  return { dot, weight: [WEIGHT_FILE[format], 'dot-block'], product: 'product-quantized' } as const;
}

/** Matrix units multiply formats whose blocks have one scale. */
export function hasMatrixKernel(format: WeightFormat): boolean {
  return isQuantized(format) && format !== 'Q6_K';
}

function manyRowsFiles(format: WeightFormat): ShaderName[] {
  if (isAffine(format)) return ['product-affine', 'linear-many-rows-affine'];
  return [isQuantized(format) ? 'linear-many-rows-quantized' : 'linear-many-rows-float'];
}

/** weights, weight words, out */
export function embedKernel(format: WeightFormat, features: FeatureVariants): Kernel {
  const elements: ShaderName[] = isAffine(format)
    ? [...AFFINE_FILES[format], 'weight-affine']
    : [...weightFiles(format, features), ...(isQuantized(format) ? (['weight-codes'] as const) : [])];
  return {
    name: `embed ${format}`,
    files: ['step', ...elements, 'embed'],
    bindings: ['read', 'read', 'write'],
  };
}

/** weights, weight words, x or its codes, scales of x, bias, out */
export function linearKernel(format: WeightFormat, rows: 'any' | 'few' | 'many', features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  const body: Record<typeof rows, ShaderName[]> = {
    any: [product, 'linear-plain'],
    few: [product, 'linear-few-rows'],
    many: manyRowsFiles(format),
  };
  return {
    manyRows: rows === 'many',
    name: `linear ${format}, ${rows} rows`,
    files: [...dot, 'step', ...weight, 'linear-group', ...body[rows]],
    bindings: ['read', 'read', 'read', 'read', 'read', 'write'],
  };
}

/** What multiplies a tile by matrix units. */
function matrixFiles(format: WeightFormat, columns: number): ShaderName[] {
  return [
    columns < 16 ? 'matrix-operands-narrow' : 'matrix-operands',
    isAffine(format) ? 'matrix-affine' : 'matrix-quantized',
    'matrix-tile',
  ];
}

/** As {@link linearKernel} for many rows, by matrix units whose products are of so many columns; for a format that {@link hasMatrixKernel}. */
export function linearMatrixKernel(format: WeightFormat, columns: number, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    manyRows: true,
    name: `linear ${format}, many rows by matrices`,
    files: [
      'enable-matrices',
      ...dot,
      'step',
      ...weight,
      'linear-group',
      product,
      ...matrixFiles(format, columns),
      'linear-many-rows-matrices',
    ],
    bindings: ['read', 'read', 'read', 'read', 'read', 'write'],
  };
}

/** weights, rope, x or its codes, scales of x, keys, out, values, bias */
export function linearRopeKernel(format: WeightFormat, cache: 'F32' | 'F16', features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    name: `linear ${format}, rope`,
    files: [...dot, 'step', ...weight, 'linear-group', product, 'linear-rope', STORE_FILE[cache]],
    bindings: ['read', 'read', 'read', 'read', 'write', 'write', 'write', 'uniform'],
  };
}

/** weights, rope, x or its codes, scales of x, keys, out, values, bias, q norm, k norm */
export function linearHeadsKernel(format: WeightFormat, cache: KvFormat, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    name: `linear ${format}, heads`,
    files: [
      ...dot,
      'step',
      ...weight,
      'linear-group',
      product,
      'last-group',
      ...SUM_THREADS,
      'linear-heads',
      'head-end',
      ...storeHead(cache),
    ],
    bindings: ['read', 'read', 'read', 'read', 'write', 'write', 'write', 'uniform', 'uniform', 'uniform'],
  };
}

/** weights, codes of the norm or the norm, x or its codes, scales of x, residual, out, scales of the norm, norm weight */
export function linearNormKernel(format: WeightFormat, quantizes: boolean, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  const end: ShaderName[] = quantizes ? [...QUANTIZE_FOUR, 'norm-end-codes'] : ['norm-end-floats'];
  return {
    name: `linear ${format}, norm`,
    files: [...dot, 'step', ...weight, 'linear-group', product, 'last-group', ...SUM_THREADS, ...end, 'linear-norm'],
    bindings: ['read', 'write', 'read', 'read', 'write', 'write', 'write', 'uniform'],
  };
}

/** weights, activated, x or its codes, scales of x, codes and out and scales of the result */
export function linearGatedKernel(format: WeightFormat, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    name: `linear ${format}, gated`,
    files: [...dot, 'step', ...weight, 'linear-group', product, 'activate', ...QUANTIZE_FOUR, 'linear-gated'],
    bindings: ['read', 'write', 'read', 'read', 'write', 'write', 'write'],
  };
}

/** weights, weight words, x or its codes, scales of x, bias, out, chosen experts */
export function expertKernel(
  format: WeightFormat,
  routes: 'plain' | 'rows' | 'many',
  features: FeatureVariants,
): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    manyRows: routes === 'many',
    name: `experts ${format}, ${routes}`,
    files: [
      ...dot,
      'step',
      ...weight,
      'expert-group',
      product,
      ...(routes === 'many' ? (['expert-list'] as const) : []),
      `expert-${routes}`,
    ],
    bindings: ['read', 'read', 'read', 'read', 'read', 'write', 'read'],
  };
}

/** As {@link expertKernel} for many routes, by matrix units; see {@link linearMatrixKernel}. */
export function expertMatrixKernel(format: WeightFormat, columns: number, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    manyRows: true,
    name: `experts ${format}, many by matrices`,
    files: [
      'enable-matrices',
      ...dot,
      'step',
      ...weight,
      'expert-group',
      product,
      ...matrixFiles(format, columns),
      'expert-list',
      'expert-many-matrices',
    ],
    bindings: ['read', 'read', 'read', 'read', 'read', 'write', 'read'],
  };
}

/** weights, chosen experts, x or its codes, scales of x, bias, codes and scales of the result or the result */
export function expertGatedKernel(format: WeightFormat, quantizes: boolean, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  const keep: ShaderName[] = quantizes ? [...QUANTIZE_FOUR, 'keep-codes'] : ['keep-floats'];
  return {
    name: `experts ${format}, gated`,
    files: [...dot, 'step', ...weight, 'expert-fused', product, 'activate', ...keep, 'expert-gated'],
    bindings: [...Array<BindingKind>(5).fill('read'), ...Array<BindingKind>(quantizes ? 2 : 1).fill('write')],
  };
}

/** weights, chosen experts, x or its codes, scales of x, bias, out, routes' weights */
export function expertMixKernel(format: WeightFormat, features: FeatureVariants): Kernel {
  const { dot, weight, product } = productFiles(format, features);
  return {
    name: `experts ${format}, mixed`,
    files: [...dot, 'step', ...weight, 'expert-fused', product, 'expert-mix'],
    bindings: ['read', 'read', 'read', 'read', 'read', 'write', 'read'],
  };
}

/** What reads and what writes keys and values of a format. */
const CACHE_FILE: Readonly<Record<KvFormat, ShaderName>> = { F32: 'cache-f32', F16: 'cache-f16', I8: 'cache-i8' };
const STORE_FILE: Readonly<Record<KvFormat, ShaderName>> = { F32: 'store-f32', F16: 'store-f16', I8: 'store-i8' };

/**
 * The kernels that read keys and values in one of the formats of a cache. Attention and attentionPrompt: codes, scales, qkv,
 * keys, values, out, sinks; attentionSplit: two unused, qkv, keys, values, partials.
 */
export function attentionKernels(
  format: KvFormat,
  { halves }: FeatureVariants,
): Record<'attention' | 'split' | 'prompt', Kernel> {
  const cache = format === 'F16' ? ([widenFile(halves), CACHE_FILE[format]] as const) : ([CACHE_FILE[format]] as const);
  const attend: ShaderName[] = [...cache, 'attention-chunk', 'tile-weights-plain'];
  const bindings: BindingKind[] = ['write', 'write', 'read', 'read', 'read', 'write'];
  return {
    attention: {
      name: 'attention',
      files: ['step', 'attention-group', 'attention-end', ...attend, ...QUANTIZE_FOUR, 'attention'],
      bindings: [...bindings, 'read'],
    },
    split: {
      name: 'attentionSplit',
      files: ['step', 'attention-group', ...attend, 'attention-split'],
      bindings,
    },
    prompt: {
      name: 'attentionPrompt',
      files: ['step', 'attention-group', 'attention-end', ...cache, ...QUANTIZE_FOUR, 'attention-prompt'],
      bindings: [...bindings, 'read'],
    },
  };
}

function storeHead(format: KvFormat): ShaderName[] {
  return [STORE_FILE[format], ...(format === 'I8' ? [] : (['store-head'] as const))];
}

/** qkv, rope, q norm, k norm, keys, values */
export function ropeAndCacheKernel(format: KvFormat): Kernel {
  return {
    name: 'ropeAndCache',
    files: ['step', ...SUM_THREADS, 'rope-and-cache', 'head-end', ...storeHead(format)],
    bindings: ['write', 'read', 'read', 'read', 'write', 'write'],
  };
}

export const KERNELS = {
  /** x, add, weight, out, bias */
  norm: {
    name: 'norm',
    files: ['step', ...SUM_THREADS, 'norm'],
    bindings: ['write', 'read', 'read', 'write', 'read'],
  },
  /** codes, scales, x, add, weight, out */
  normRows: {
    name: 'normRows',
    files: ['step', ...SUM_THREADS, ...QUANTIZE_FOUR, 'norm-rows'],
    bindings: ['write', 'write', 'write', 'read', 'read', 'write'],
  },
  /** codes, scales, x, add, weight, out, weight of add */
  normPair: {
    name: 'normPair',
    files: ['step', ...SUM_THREADS, ...QUANTIZE_FOUR, 'norm-pair'],
    bindings: ['write', 'write', 'write', 'write', 'read', 'write', 'read'],
  },
  /** x, codes, scales */
  quantizeRows: {
    name: 'quantizeRows',
    files: ['step', 'quantize-rows'],
    bindings: ['read', 'write', 'write'],
  },
  /** codes, scales, partials, two unused, out, sinks */
  attentionMerge: {
    name: 'attentionMerge',
    files: ['step', 'attention-group', 'attention-end', ...QUANTIZE_FOUR, 'attention-merge'],
    bindings: ['write', 'write', 'read', 'read', 'read', 'write', 'read'],
  },
  /** x, out */
  gatedActivation: {
    name: 'gatedActivation',
    files: ['step', 'activate', 'gated-activation'],
    bindings: ['read', 'write'],
  },
  /** codes, scales, x, out */
  gatedActivationRows: {
    name: 'gatedActivationRows',
    files: ['step', 'activate', ...QUANTIZE_FOUR, 'gated-activation-rows'],
    bindings: ['write', 'write', 'read', 'write'],
  },
  /** x, out */
  activation: {
    name: 'activation',
    files: ['step', 'activate', 'activation'],
    bindings: ['read', 'write'],
  },
  /** x, add, gate */
  addScaled: {
    name: 'addScaled',
    files: ['step', 'add-scaled'],
    bindings: ['write', 'read', 'read'],
  },
  /** x */
  scaleAndCap: {
    name: 'scaleAndCap',
    files: ['step', 'scale-and-cap'],
    bindings: ['write'],
  },
  /** scores, chosen, weights */
  route: {
    name: 'route',
    files: ['step', ...SUM_THREADS, 'route'],
    bindings: ['read', 'write', 'write'],
  },
  /** x, weights, out */
  mixRoutes: {
    name: 'mixRoutes',
    files: ['step', 'mix-routes'],
    bindings: ['read', 'read', 'write'],
  },
  /** logits, requests, maxima, found */
  logitMaxima: {
    name: 'logitMaxima',
    files: ['step', 'logit-row', 'logit-maxima'],
    bindings: ['read', 'read', 'write', 'write'],
  },
  logitThreshold: {
    name: 'logitThreshold',
    files: ['step', 'logit-row', 'logit-threshold'],
    bindings: ['read', 'read', 'write', 'write'],
  },
  logitList: {
    name: 'logitList',
    files: ['step', 'logit-row', ...SUM_THREADS, 'logit-list'],
    bindings: ['read', 'read', 'write', 'write'],
  },
  /** codes, scales, x, out */
  gatherRows: {
    name: 'gatherRows',
    files: ['step', ...QUANTIZE_FOUR, 'gather-rows'],
    bindings: ['write', 'write', 'read', 'write'],
  },
} as const satisfies Record<string, Kernel>;
