/**
 * Rotary position embedding: from a checkpoint's settings to a table of cosines and sines.
 *
 * Sources: Su et al., arXiv:2104.09864; linear scaling: arXiv:2306.15595; `llama3` scaling: the model card of Llama 3.1.
 */

import type { Fields } from './checkpoint/fields.ts';

export interface RopeConfig {
  /** How many elements of each head are rotated: the first ones, an even number. */
  readonly rotaryDim: number;
  /** Base of the geometric series of frequencies. */
  readonly theta: number;
  readonly scaling: RopeScaling;
}

/** How the frequencies are changed to reach beyond the positions that a model was first trained on. */
export type RopeScaling = DefaultScaling | LinearScaling | Llama3Scaling | FactorScaling;

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

/** Each frequency is divided by a factor of its own. Only GGUF files say it so: their writer has done the sums. */
interface FactorScaling {
  readonly kind: 'factors';
  /** `[rotaryDim / 2]` */
  readonly factors: readonly number[];
}

type ScalingReader = (fields: Fields, maxPositions: number) => RopeScaling;

const SCALING_READERS: ReadonlyMap<string, ScalingReader> = new Map<string, ScalingReader>([
  ['default', () => ({ kind: 'default' })],
  ['linear', (fields) => ({ kind: 'linear', factor: fields.positive('factor') })],
  ['llama3', readLlama3Scaling],
  ['factors', (fields) => ({ kind: 'factors', factors: fields.positives('factors') })],
]);

/**
 * Reads the rope settings of config.json: `rope_theta` and `rope_scaling`, or both inside `rope_parameters`.
 * @throws CheckpointError
 */
export function readRope(config: Fields, headDim: number, maxPositions: number): RopeConfig {
  const inner = config.object('rope_scaling') ?? config.object('rope_parameters');
  const owner = (name: string) => (inner?.has(name) ? inner : config);
  const theta = owner('rope_theta').positive('rope_theta', 10_000);
  const share = owner('partial_rotary_factor').positive('partial_rotary_factor', 1, 1);
  const rotaryDim = Math.trunc(headDim * share);
  if (rotaryDim === 0 || rotaryDim % 2 !== 0) {
    config.fail('head_dim', `an even number of rotated elements in each head, not ${rotaryDim} of ${headDim}`);
  }
  if (inner === undefined) return { rotaryDim, theta, scaling: { kind: 'default' } };
  const read = inner.choice(inner.has('rope_type') ? 'rope_type' : 'type', SCALING_READERS, 'default');
  const scaling = read(inner, maxPositions);
  if (scaling.kind === 'factors' && scaling.factors.length !== rotaryDim / 2) {
    inner.fail('factors', `${rotaryDim / 2} numbers, one for each pair of rotated elements`);
  }
  return { rotaryDim, theta, scaling };
}

function readLlama3Scaling(fields: Fields, maxPositions: number): Llama3Scaling {
  const lowFreqFactor = fields.positive('low_freq_factor');
  const highFreqFactor = fields.positive('high_freq_factor');
  if (highFreqFactor <= lowFreqFactor) fields.fail('high_freq_factor', `more than low_freq_factor, ${lowFreqFactor}`);
  return {
    kind: 'llama3',
    factor: fields.positive('factor'),
    lowFreqFactor,
    highFreqFactor,
    originalMaxPositions: fields.positive('original_max_position_embeddings', maxPositions),
  };
}

/**
 * The rope table `[positions, rotaryDim]` of the device contract: in each row rotaryDim/2 cosines, then as many sines.
 * Frequencies and angles are rounded to float32 as in the training code: at large positions that rounding matters.
 */
export function ropeTable(rope: RopeConfig, positions: number): Float32Array {
  const frequencies = inverseFrequencies(rope);
  const half = frequencies.length;
  const table = new Float32Array(positions * rope.rotaryDim);
  for (let position = 0, at = 0; position < positions; position++, at += rope.rotaryDim) {
    for (let i = 0; i < half; i++) {
      const angle = Math.fround(position * frequencies[i]);
      table[at + i] = Math.cos(angle);
      table[at + half + i] = Math.sin(angle);
    }
  }
  return table;
}

/** Radians that each pair of elements turns by from one position to the next: `[rotaryDim / 2]`. */
export function inverseFrequencies(rope: RopeConfig): Float32Array {
  const { rotaryDim, theta, scaling } = rope;
  const frequencies = new Float32Array(rotaryDim / 2);
  for (let i = 0; i < frequencies.length; i++) {
    const base = 1 / Math.fround(theta ** Math.fround((2 * i) / rotaryDim));
    frequencies[i] = scaleFrequency(Math.fround(base), scaling, i);
  }
  return frequencies;
}

function scaleFrequency(frequency: number, scaling: RopeScaling, index: number): number {
  switch (scaling.kind) {
    case 'default':
      return frequency;
    case 'linear':
      return frequency / scaling.factor;
    case 'factors':
      return frequency / scaling.factors[index];
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
      const turns = (originalMaxPositions * frequency) / (2 * Math.PI);
      const kept = Math.min(1, Math.max(0, (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)));
      return kept * frequency + (1 - kept) * (frequency / factor);
    }
  }
}
