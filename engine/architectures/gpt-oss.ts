/**
 * gpt-oss: attention sinks, windows in every other layer, experts with biases and a clamped gate.
 * Source: OpenAI, gpt-oss-120b & gpt-oss-20b Model Card, arXiv:2508.10925.
 */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription, ExpertsDescription } from './description.ts';
import { readExpertCounts } from './expert-counts.ts';
import { attention, decoder, expertMatrices, preNormLayer, router } from './parts.ts';
import { readLayerWindows, readWindow } from './windows.ts';

export function gptOss(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, {
    tieWordEmbeddings: false,
    headDim: 64,
    normEps: 1e-5,
    ropeTheta: 150_000,
  });
  const bias = fields.boolean('attention_bias', true);
  const counts = readExpertCounts(fields, 'num_local_experts', { experts: 128, perToken: 4 });
  const limit = fields.positive('swiglu_limit', 7);
  // The gate is x · σ(alpha · x).
  if (fields.positive('swiglu_alpha', 1.702) !== 1.702) fields.fail('swiglu_alpha', '1.702');
  const windows = readLayerWindows(fields, config.layers, {
    window: readWindow(fields, 128),
    slides: (layer) => layer % 2 === 0,
  });
  const { hiddenSize, intermediateSize } = config;

  const experts = (prefix: string): ExpertsDescription => {
    const matrices = (name: string, rows: number, cols: number) =>
      expertMatrices(`${prefix}.${name}`, counts.experts, rows, cols, (e) => `${prefix}.experts.${e}.${name}`, true);
    return {
      ...counts,
      router: router(`${prefix}.router`, counts.experts, hiddenSize, true),
      normalize: true,
      up: [matrices('gate_proj', intermediateSize, hiddenSize), matrices('up_proj', intermediateSize, hiddenSize)],
      activation: 'quick_gelu',
      limit,
      down: matrices('down_proj', hiddenSize, intermediateSize),
    };
  };
  return decoder('gpt_oss', config, (prefix, index) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, {
        qkvBias: bias,
        outputBias: bias,
        sinks: `${prefix}.self_attn.sinks`,
        window: windows[index],
      }),
      feedForward: experts(`${prefix}.mlp`),
    }),
  );
}
