/**
 * Gemma 1, 2 and 3 (text): scaled embeddings, norms that multiply by 1 + weight; from the second on also norms after the
 * blocks and sliding windows in some layers, in the second soft caps, in the third norms on q and k and two rope bases.
 *
 * Sources: Gemma 2, arXiv:2408.00118; Gemma 3, arXiv:2503.19786.
 */

import type { Fields } from '../checkpoint/fields.ts';
import { type ConfigDefaults, type ModelConfig, readModelConfig } from '../checkpoint/model-config.ts';
import { readRope } from '../rope.ts';
import type { DecoderDescription, LayerDescription, NormDescription } from './description.ts';
import { type AttentionVariant, attention, decoder, feedForward, rmsNorm } from './parts.ts';
import { readLayerWindows, readWindow } from './windows.ts';

const DEFAULTS: ConfigDefaults = { tieWordEmbeddings: true, headDim: 256, activation: 'gelu_pytorch_tanh' };
const CAP = { min: Number.MIN_VALUE, max: 1e9 };

export function gemma(fields: Fields): DecoderDescription {
  // Early files say "gelu" in `hidden_act` where the approximation is meant, which `hidden_activation` names.
  const config = readModelConfig(fields, { ...DEFAULTS, activationName: 'hidden_activation' });
  const bias = fields.boolean('attention_bias', false);
  return gemmaDecoder('gemma', config, (prefix) => ({
    attentionNorm: gemmaNorm(config, `${prefix}.input_layernorm`),
    attention: attention(config, prefix, { qkvBias: bias, outputBias: bias }),
    feedForwardNorm: gemmaNorm(config, `${prefix}.post_attention_layernorm`),
    feedForward: feedForward(config, `${prefix}.mlp`),
  }));
}

export function gemma2(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { ...DEFAULTS, activationName: 'hidden_activation' });
  const attentionVariant = readAttention(fields, config, 50);
  const windows = readLayerWindows(fields, config.layers, {
    window: readWindow(fields, 4096),
    slides: (layer) => layer % 2 === 0,
  });
  return gemmaDecoder(
    'gemma2',
    config,
    (prefix, index) => sandwichedLayer(config, prefix, { ...attentionVariant, window: windows[index] }),
    readCap(fields, 'final_logit_softcapping', 30),
  );
}

export function gemma3(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { ...DEFAULTS, activationName: 'hidden_activation', ropeTheta: 1e6 });
  const attentionVariant = readAttention(fields, config, undefined);
  const pattern = fields.integer('sliding_window_pattern', { min: 1, max: 2 ** 31 }, 6);
  const windows = readLayerWindows(fields, config.layers, {
    window: readWindow(fields, 4096),
    slides: (layer) => (layer + 1) % pattern !== 0,
  });
  const localRope = readRope(fields, config, {
    theta: fields.positive('rope_local_base_freq', 10_000),
    section: 'sliding_attention',
    unscaled: true,
  });
  return gemmaDecoder(
    'gemma3_text',
    config,
    (prefix, index) => {
      const slides = windows[index] !== undefined;
      return sandwichedLayer(config, prefix, {
        ...attentionVariant,
        window: windows[index],
        rope: slides ? localRope : config.rope,
        qNorm: gemmaNorm(config, `${prefix}.self_attn.q_norm`, config.headDim),
        kNorm: gemmaNorm(config, `${prefix}.self_attn.k_norm`, config.headDim),
      });
    },
    readCap(fields, 'final_logit_softcapping', undefined),
  );
}

function gemmaDecoder(
  modelType: string,
  config: ModelConfig,
  layer: (prefix: string, index: number) => LayerDescription,
  cap?: number,
): DecoderDescription {
  return decoder(modelType, config, layer, {
    embeddingScale: Math.sqrt(config.hiddenSize),
    finalNorm: gemmaNorm(config, 'model.norm'),
    logits: cap === undefined ? undefined : { scale: 1, cap },
  });
}

/** A layer with norms before and after both of its parts. */
function sandwichedLayer(config: ModelConfig, prefix: string, variant: AttentionVariant): LayerDescription {
  return {
    attentionNorm: gemmaNorm(config, `${prefix}.input_layernorm`),
    attention: attention(config, prefix, variant),
    attentionOutputNorm: gemmaNorm(config, `${prefix}.post_attention_layernorm`),
    feedForwardNorm: gemmaNorm(config, `${prefix}.pre_feedforward_layernorm`),
    feedForward: feedForward(config, `${prefix}.mlp`),
    feedForwardOutputNorm: gemmaNorm(config, `${prefix}.post_feedforward_layernorm`),
  };
}

function readAttention(fields: Fields, config: ModelConfig, defaultCap: number | undefined): AttentionVariant {
  if (fields.boolean('use_bidirectional_attention', false)) {
    fields.fail('use_bidirectional_attention', 'false: tokens that see only those before them');
  }
  const bias = fields.boolean('attention_bias', false);
  return {
    qkvBias: bias,
    outputBias: bias,
    scale: fields.positive('query_pre_attn_scalar', 256) ** -0.5,
    softcap: readCap(fields, 'attn_logit_softcapping', defaultCap),
    rope: config.rope,
  };
}

/** A soft cap; undefined for none, which null says. */
function readCap(fields: Fields, name: string, fallback: number | undefined): number | undefined {
  if (!fields.has(name)) return fields.mentions(name) ? undefined : fallback;
  return fields.number(name, CAP);
}

function gemmaNorm(config: ModelConfig, name: string, size?: number): NormDescription {
  return { ...rmsNorm(config, name, size), plusOne: true };
}
