/** The mixtures of Qwen 2 and 3: which layers have one, and what it is made of. */

import type { Fields } from '../checkpoint/fields.ts';
import type { ModelConfig } from '../checkpoint/model-config.ts';
import type { ExpertsDescription } from './description.ts';
import { type ExpertCounts, readExpertCounts } from './expert-counts.ts';
import { expertMatrices, router } from './parts.ts';

const WIDTH = { min: 1, max: 2 ** 24 };
const LAYER = { min: 0, max: 2 ** 31 };

export interface QwenExperts {
  /** Whether a layer has experts, rather than one feed-forward of `intermediate_size`. */
  hasExperts(layer: number): boolean;
  /** @param prefix  of the layer's feed-forward */
  describe(prefix: string): ExpertsDescription;
}

export function readQwenExperts(
  fields: Fields,
  config: ModelConfig,
  defaults: ExpertCounts & { readonly width: number },
): QwenExperts {
  const counts = readExpertCounts(fields, 'num_experts', defaults);
  const width = fields.integer('moe_intermediate_size', WIDTH, defaults.width);
  const normalize = fields.boolean('norm_topk_prob', false);
  const step = fields.integer('decoder_sparse_step', { min: 1, max: LAYER.max }, 1);
  const dense = new Set(fields.integers('mlp_only_layers', LAYER));
  const { hiddenSize, activation } = config;
  return {
    hasExperts: (layer) => !dense.has(layer) && (layer + 1) % step === 0,
    describe(prefix) {
      const matrices = (name: string, rows: number, cols: number) =>
        expertMatrices(`${prefix}.${name}`, counts.experts, rows, cols, (e) => `${prefix}.experts.${e}.${name}`);
      return {
        ...counts,
        router: router(`${prefix}.gate`, counts.experts, hiddenSize),
        normalize,
        up: [matrices('gate_proj', width, hiddenSize), matrices('up_proj', width, hiddenSize)],
        activation,
        down: matrices('down_proj', hiddenSize, width),
      };
    },
  };
}
