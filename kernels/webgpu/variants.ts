/** The variants of kernels: what a device runs on an adapter, and what instead where that computes wrongly. */

import type { AdapterFeatures } from './adapter.ts';
import { chooseMatrixUnits, type MatrixUnits } from './matrix-tile.ts';
import type { TunedTiles } from './tuned-tiles.ts';

/** Sizes of a workgroup of linear for few rows. None of them changes a bit of the results. */
export interface LinearTile {
  /** Threads of the workgroup. */
  readonly threads: number;
  /** Weight rows that each thread takes. */
  readonly outs: number;
  /** Blocks of weights that it loads at a time. */
  readonly loads: number;
}

/** Variants of kernels that an adapter may have no feature for. */
export interface FeatureVariants {
  /** Products of signed bytes by `dot4I8Packed`. */
  readonly packedDot: boolean;
  /** Halves are widened by the f16 type. */
  readonly halves: boolean;
  /** The matrix units of linear for many rows, quantised. */
  readonly matrices: MatrixUnits | undefined;
  /** Arguments as immediates, which come with the commands, rather than in a uniform buffer. */
  readonly immediates: boolean;
  /** Neighbouring threads that surely share a subgroup, up to {@link MOST_SPAN}; 0: workgroup memory instead. No bit depends on it. */
  readonly subgroups: number;
}

/** The variants of kernels that a device runs; every row of a weight takes the same one, whatever the batch. */
export interface Variants extends FeatureVariants {
  /** Linear by one thread a result, rather than by workgroups that share what they read. */
  readonly plainLinear: boolean;
  /** Kernels that make rows also round them to 8 bits, where a linear op wants that. */
  readonly fused: boolean;
  /** The last workgroup of a linear does what needs the results of several: see `shaders/last-group.wgsl`. */
  readonly handover: boolean;
  /** The norm after a linear is such an op. Not yet timed on a GPU, so it is asked for; a norm may then be there in 8 bits alone. */
  readonly lastNorm: boolean;
  /** Of linear for few rows: what is set here instead of what the shape suggests, */
  readonly linearTile: Partial<LinearTile>;
  /** and for single rows of x and the weights that `tileKey` names, as measured. */
  readonly linearTiles: TunedTiles['tiles'];
  /** Arguments are constants of a pipeline, but for products of many rows: so it takes one for each shape. */
  readonly constantArguments: boolean;
  /** Pipelines compile when a plan is recorded, not when a step first needs them. */
  readonly compileAhead: boolean;
  /** Rows and outputs of a tile of linear for many rows, quantised. */
  readonly tileRows: number;
  readonly tileOuts: number;
  /** Rows and outputs of such a tile of float weights, powers of two, and outputs that a thread of it takes: 4 or 8, */
  readonly wideRows: number;
  readonly wideOuts: number;
  readonly wideThreadOuts: number;
  /** where a step has at least so many workgroups of them; else tiles are smaller. */
  readonly wideWorkgroups: number;
  /** Threads of a workgroup that takes a row or a head, a power of two: sums are a binary tree over them. */
  readonly rowThreads: number;
  /** Threads of a workgroup of attention to one row; a multiple of 8. */
  readonly attentionThreads: number;
  /** Most query heads that one workgroup of it takes together. */
  readonly headGroup: number;
  /** Rows that follow one another in a sequence share their reading of keys and values. */
  readonly promptRuns: boolean;
}

/** Beyond this a larger subgroup saves nothing: a block is 32 columns, and a workgroup then has 8 spans. */
export const MOST_SPAN = 32;

/** What suits a GPU. */
export const GPU_VARIANTS = {
  plainLinear: false,
  fused: true,
  handover: true,
  lastNorm: false,
  linearTile: {},
  linearTiles: {},
  constantArguments: true,
  compileAhead: true,
  tileRows: 64,
  tileOuts: 64,
  wideRows: 128,
  wideOuts: 64,
  wideThreadOuts: 8,
  wideWorkgroups: 192,
  rowThreads: 64,
  attentionThreads: 256,
  headGroup: 8,
  promptRuns: true,
};
/** A CPU that plays GPU pays for every thread that waits at a barrier, and for the length of a kernel when it compiles. */
const CPU_VARIANTS = {
  ...GPU_VARIANTS,
  linearTile: { outs: 2, loads: 2 },
  constantArguments: false,
  compileAhead: false,
  plainLinear: true,
  fused: false,
  rowThreads: 4,
  attentionThreads: 8,
  headGroup: 2,
  promptRuns: false,
};

/** What suits an adapter best. */
export function bestVariants(features: AdapterFeatures): Variants {
  return { ...featureVariants(features), ...(features.software ? CPU_VARIANTS : GPU_VARIANTS) };
}

/** The variants that hang on a feature, each used where the adapter has it. */
export function featureVariants(features: AdapterFeatures): FeatureVariants {
  const { packedDot, halves, immediateBytes, subgroupThreads } = features;
  // A kernel's subgroups may be larger than the least; some drivers do not say so truly.
  const subgroups = Math.min(subgroupThreads?.least ?? 0, MOST_SPAN);
  return { packedDot, halves, matrices: chooseMatrixUnits(features), immediates: immediateBytes > 0, subgroups };
}

/** One op a kernel, each row of attention for itself, arguments that are read. */
export const UNFUSED_VARIANTS = { fused: false, handover: false, promptRuns: false, constantArguments: false };

/** No variant that hangs on a feature. */
export const FEATURELESS: FeatureVariants = {
  packedDot: false,
  halves: false,
  matrices: undefined,
  immediates: false,
  subgroups: 0,
};

/** What asks least of an adapter and its compiler. */
export const PLAIN_VARIANTS: Variants = { ...FEATURELESS, ...CPU_VARIANTS };

/** What to run instead where some of `best` compute wrongly, in this order: without each feature, without all, one op a kernel. */
export function stepDowns(best: Variants): Variants[] {
  const used = (Object.keys(FEATURELESS) as (keyof FeatureVariants)[]).filter((name) => best[name]);
  return [
    ...used.map((name) => ({ ...best, [name]: FEATURELESS[name] })),
    ...(used.length > 1 ? [{ ...best, ...FEATURELESS }] : []),
    ...(best.handover ? [{ ...best, handover: false, lastNorm: false }] : []),
    { ...best, ...UNFUSED_VARIANTS },
    PLAIN_VARIANTS,
  ];
}
