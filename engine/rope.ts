/**
 * Rotary position embedding: from a checkpoint's settings to a table of cosines and sines.
 *
 * Sources: Su et al., arXiv:2104.09864; linear scaling: arXiv:2306.15595; `llama3` scaling: the model card of Llama 3.1;
 * yarn: Peng et al., arXiv:2309.00071; longrope: Ding et al., arXiv:2402.13753.
 */

import type { Fields } from './checkpoint/fields.ts';
import { cosSin, ln, power } from './elementary.ts';

export interface RopeConfig {
  /** How many elements of each head are rotated: the first ones, an even number. */
  readonly rotaryDim: number;
  /** Base of the geometric series of frequencies. */
  readonly theta: number;
  readonly scaling: RopeScaling;
  /** What cosines and sines are multiplied by. Default 1. */
  readonly magnitude?: number;
}

/** How the frequencies are changed to reach beyond the positions that a model was first trained on. */
export type RopeScaling =
  | DefaultScaling
  | LinearScaling
  | Llama3Scaling
  | YarnScaling
  | LongropeScaling
  | FactorScaling;

interface DefaultScaling {
  readonly kind: 'default';
}

/** Every frequency is divided by `factor`. */
interface LinearScaling {
  readonly kind: 'linear';
  readonly factor: number;
}

/**
 * Wavelengths above originalMaxPositions / lowFreqFactor are stretched by `factor`, those below
 * originalMaxPositions / highFreqFactor are kept, and those between go from one to the other.
 */
interface Llama3Scaling {
  readonly kind: 'llama3';
  readonly factor: number;
  readonly lowFreqFactor: number;
  readonly highFreqFactor: number;
  readonly originalMaxPositions: number;
}

/**
 * Frequencies that turn more than `betaFast` times in originalMaxPositions are kept, those that turn fewer than `betaSlow`
 * times are divided by `factor`; between them it goes linearly by their number, from bounds that `truncate` makes whole.
 */
interface YarnScaling {
  readonly kind: 'yarn';
  readonly factor: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  readonly truncate: boolean;
  readonly originalMaxPositions: number;
}

/**
 * Each frequency is divided by a factor of its own: at every position of a sequence that is longer than
 * originalMaxPositions by one of `long`, else by one of `short`. Both are `[rotaryDim / 2]`.
 */
interface LongropeScaling {
  readonly kind: 'longrope';
  readonly short: readonly number[];
  readonly long: readonly number[];
  readonly originalMaxPositions: number;
}

/** Each frequency is divided by a factor of its own. Only GGUF files say it so: their writer has done the sums. */
interface FactorScaling {
  readonly kind: 'factors';
  /** `[rotaryDim / 2]` */
  readonly factors: readonly number[];
}

/** What scaling settings are read against. */
interface RopeContext {
  readonly config: Fields;
  readonly maxPositions: number;
  readonly rotaryDim: number;
}

type Scaled = Pick<RopeConfig, 'scaling' | 'magnitude'>;
type ScalingReader = (fields: Fields, context: RopeContext) => Scaled;

const SCALING_READERS: ReadonlyMap<string, ScalingReader> = new Map<string, ScalingReader>([
  ['default', () => ({ scaling: { kind: 'default' } })],
  // It changes nothing up to max_position_embeddings, and no sequence here is longer.
  ['dynamic', () => ({ scaling: { kind: 'default' } })],
  ['linear', (fields) => ({ scaling: { kind: 'linear', factor: fields.positive('factor') } })],
  ['llama3', readLlama3Scaling],
  ['yarn', readYarnScaling],
  ['longrope', readLongropeScaling],
  ['su', readLongropeScaling],
  [
    'factors',
    (fields, context) => ({ scaling: { kind: 'factors', factors: readFactors(fields, 'factors', context) } }),
  ],
]);

/** What an architecture has otherwise than most. */
export interface RopeDefaults {
  /** Default 10000. */
  readonly theta?: number;
  /** Default 1. */
  readonly partialRotaryFactor?: number;
  /** Member of `rope_parameters` with the settings of these layers, where there is one for each kind of layer. */
  readonly section?: string;
  /** `rope_theta` and `rope_scaling` are of other layers than these. */
  readonly unscaled?: boolean;
}

/**
 * Reads the rope settings of config.json: `rope_theta` and `rope_scaling`, or both inside `rope_parameters`.
 * @throws CheckpointError
 */
export function readRope(
  config: Fields,
  { headDim, maxPositions }: { readonly headDim: number; readonly maxPositions: number },
  defaults: RopeDefaults = {},
): RopeConfig {
  const section = defaults.section && config.object('rope_parameters')?.object(defaults.section);
  const common = defaults.unscaled ? undefined : (config.object('rope_scaling') ?? config.object('rope_parameters'));
  const inner = section || common;
  const owner = (name: string) => (inner?.has(name) ? inner : config);
  const theta =
    defaults.unscaled && !section
      ? (defaults.theta ?? 10_000)
      : owner('rope_theta').positive('rope_theta', defaults.theta ?? 10_000);
  const share = owner('partial_rotary_factor').positive('partial_rotary_factor', defaults.partialRotaryFactor ?? 1, 1);
  const rotaryDim = Math.trunc(headDim * share);
  if (rotaryDim === 0 || rotaryDim % 2 !== 0) {
    config.fail('head_dim', `an even number of rotated elements in each head, not ${rotaryDim} of ${headDim}`);
  }
  if (inner === undefined) return { rotaryDim, theta, scaling: { kind: 'default' } };
  const read = inner.choice(inner.has('rope_type') ? 'rope_type' : 'type', SCALING_READERS, 'default');
  return { rotaryDim, theta, ...read(inner, { config, maxPositions, rotaryDim }) };
}

function readLlama3Scaling(fields: Fields, { config, maxPositions }: RopeContext): Scaled {
  const lowFreqFactor = fields.positive('low_freq_factor');
  const highFreqFactor = fields.positive('high_freq_factor');
  if (highFreqFactor <= lowFreqFactor) fields.fail('high_freq_factor', `more than low_freq_factor, ${lowFreqFactor}`);
  const scaling = {
    kind: 'llama3',
    factor: fields.positive('factor'),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions: readOriginalMaxPositions(fields, config, maxPositions),
  } as const;
  return { scaling };
}

function readYarnScaling(fields: Fields, context: RopeContext): Scaled {
  // Phi 3 calls longrope so, too.
  if (fields.has('long_factor')) return readLongropeScaling(fields, context);
  const originalMaxPositions = readOriginalMaxPositions(fields, context.config, context.maxPositions);
  const factor = fields.positive('factor', context.maxPositions / originalMaxPositions);
  const magnitudeOf = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * ln(factor) + 1);
  const [some, all] = ['mscale', 'mscale_all_dim'].map((name) => fields.number(name, { min: 0, max: 1e6 }, 0));
  const magnitude = some !== 0 && all !== 0 ? magnitudeOf(some) / magnitudeOf(all) : magnitudeOf(1);
  const scaling = {
    kind: 'yarn',
    factor,
    betaFast: fields.positive('beta_fast', 32),
    betaSlow: fields.positive('beta_slow', 1),
    truncate: fields.boolean('truncate', true),
    originalMaxPositions,
  } as const;
  return { scaling, magnitude: fields.positive('attention_factor', magnitude) };
}

/**
 * What DeepSeek's models multiply q and k by, each, where their yarn says `mscale_all_dim`: 0.1 · mscale_all_dim · ln factor
 * + 1; else 1.
 */
export function yarnMagnitude(config: Fields): number {
  const fields = config.object('rope_scaling') ?? config.object('rope_parameters');
  const scale = fields?.number('mscale_all_dim', { min: 0, max: 1e6 }, 0) ?? 0;
  const factor = scale === 0 ? 1 : (fields?.positive('factor') ?? 1);
  return factor <= 1 ? 1 : 0.1 * scale * ln(factor) + 1;
}

function readLongropeScaling(fields: Fields, context: RopeContext): Scaled {
  const { config, maxPositions } = context;
  const originalMaxPositions = readOriginalMaxPositions(fields, config, maxPositions);
  const factor = fields.positive('factor', maxPositions / originalMaxPositions);
  const magnitude = factor <= 1 ? 1 : Math.sqrt(1 + ln(factor) / ln(originalMaxPositions));
  const scaling = {
    kind: 'longrope',
    short: readFactors(fields, 'short_factor', context),
    long: readFactors(fields, 'long_factor', context),
    originalMaxPositions,
  } as const;
  return { scaling, magnitude: fields.positive('attention_factor', magnitude) };
}

/** The length that the model was first trained on, which stands beside the scaling or at the top. */
function readOriginalMaxPositions(fields: Fields, config: Fields, maxPositions: number): number {
  const name = 'original_max_position_embeddings';
  return (config.has(name) ? config : fields).integer(name, { min: 2, max: 2 ** 31 }, maxPositions);
}

/** A factor for each pair of rotated elements. */
function readFactors(fields: Fields, name: string, { rotaryDim }: RopeContext): readonly number[] {
  const factors = fields.positives(name);
  if (factors.length !== rotaryDim / 2) {
    fields.fail(name, `${rotaryDim / 2} numbers, one for each pair of rotated elements`);
  }
  return factors;
}

/** Positions that the scaling of a rope was made to reach; 0 where it does not say. */
export function reachOf({ scaling }: RopeConfig): number {
  return scaling.kind === 'yarn' ? Math.floor(scaling.factor * scaling.originalMaxPositions) : 0;
}

/** The length from which on sequences are rotated by other angles, at all their positions; undefined where none are. */
export function longFrom({ scaling }: RopeConfig, positions: number): number | undefined {
  if (scaling.kind !== 'longrope' || scaling.originalMaxPositions >= positions) return undefined;
  return scaling.originalMaxPositions;
}

/**
 * The rope table `[rows, rotaryDim]` of the device contract: in each row rotaryDim/2 cosines, then as many sines. Row p is
 * position p; with `short`, the rows of long sequences follow after those of the short ones, which end at that length.
 * Frequencies and angles are rounded to float32 as in the training code: at large positions that rounding matters.
 */
export function ropeTable(rope: RopeConfig, positions: number, short?: number): Float32Array {
  const table = new Float32Array((positions + (short ?? 0)) * rope.rotaryDim);
  fillTable(table, rope, short ?? positions, inverseFrequencies(rope));
  if (short !== undefined) {
    fillTable(table.subarray(short * rope.rotaryDim), rope, positions, inverseFrequencies(rope, true));
  }
  return table;
}

function fillTable(table: Float32Array, rope: RopeConfig, positions: number, frequencies: Float32Array): void {
  const { rotaryDim, magnitude = 1 } = rope;
  const half = frequencies.length;
  for (let position = 0, at = 0; position < positions; position++, at += rotaryDim) {
    for (let i = 0; i < half; i++) {
      const [cos, sin] = cosSin(Math.fround(position * frequencies[i]));
      table[at + i] = cos * magnitude;
      table[at + half + i] = sin * magnitude;
    }
  }
}

/**
 * Radians that each pair of elements turns by from one position to the next: `[rotaryDim / 2]`.
 * @param long  those of sequences beyond {@link longFrom}
 */
export function inverseFrequencies(rope: RopeConfig, long = false): Float32Array {
  const { rotaryDim, theta, scaling } = rope;
  const frequencies = new Float32Array(rotaryDim / 2);
  const scale = scaleOf(scaling, rope, long);
  for (let i = 0; i < frequencies.length; i++) {
    const base = 1 / Math.fround(power(theta, Math.fround((2 * i) / rotaryDim)));
    frequencies[i] = scale(Math.fround(base), i);
  }
  return frequencies;
}

function scaleOf(scaling: RopeScaling, rope: RopeConfig, long: boolean): (frequency: number, i: number) => number {
  switch (scaling.kind) {
    case 'default':
      return (frequency) => frequency;
    case 'linear':
      return (frequency) => frequency / scaling.factor;
    case 'factors':
      return (frequency, i) => frequency / scaling.factors[i];
    case 'longrope': {
      const factors = long ? scaling.long : scaling.short;
      return (frequency, i) => frequency / factors[i];
    }
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
      return (frequency) => {
        const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
        const kept = clamp((turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor));
        return kept * frequency + (1 - kept) * (frequency / factor);
      };
    }
    case 'yarn': {
      const [low, high] = yarnBounds(scaling, rope);
      return (frequency, i) => {
        const stretched = clamp((i - low) / (high - low));
        return (1 - stretched) * frequency + stretched * (frequency / scaling.factor);
      };
    }
  }
}

/** Numbers of the pairs that turn `betaFast` and `betaSlow` times in originalMaxPositions. */
function yarnBounds(scaling: YarnScaling, { rotaryDim, theta }: RopeConfig): [low: number, high: number] {
  const pairOf = (turns: number) =>
    (rotaryDim * ln(scaling.originalMaxPositions / (turns * 2 * Math.PI))) / (2 * ln(theta));
  let [low, high] = [pairOf(scaling.betaFast), pairOf(scaling.betaSlow)];
  if (scaling.truncate) [low, high] = [Math.floor(low), Math.ceil(high)];
  low = Math.max(low, 0);
  high = Math.min(high, rotaryDim - 1);
  return [low, high === low ? high + 0.001 : high];
}

function clamp(x: number): number {
  return Math.min(1, Math.max(0, x));
}
