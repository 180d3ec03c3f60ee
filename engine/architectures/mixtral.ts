/** Mixtral: Mistral with experts for its feed-forward. Source: Jiang et al., arXiv:2401.04088. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription, ExpertsDescription } from './description.ts';
import { readExpertCounts } from './expert-counts.ts';
import { attention, decoder, expertMatrices, preNormLayer, router } from './parts.ts';
import { readWindow } from './windows.ts';

export function mixtral(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false, normEps: 1e-5, ropeTheta: 1e6 });
  const counts = readExpertCounts(fields, 'num_local_experts', { experts: 8, perToken: 2 });
  const window = readWindow(fields, undefined);
  const { hiddenSize, intermediateSize, activation } = config;

  const experts = (prefix: string): ExpertsDescription => {
    const matrices = (name: string, rows: number, cols: number) =>
      expertMatrices(`${prefix}.${name}`, counts.experts, rows, cols, (e) => `${prefix}.experts.${e}.${name}`);
    return {
      ...counts,
      router: router(`${prefix}.gate`, counts.experts, hiddenSize),
      normalize: true,
      up: [matrices('w1', intermediateSize, hiddenSize), matrices('w3', intermediateSize, hiddenSize)],
      activation,
      down: matrices('w2', hiddenSize, intermediateSize),
    };
  };
  return decoder('mixtral', config, (prefix) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, { window }),
      feedForward: experts(`${prefix}.block_sparse_moe`),
    }),
  );
}
