/** generation_config.json: end tokens and the sampling that the model's makers advise. */

import type { Fields } from './fields.ts';

/** What a checkpoint says about generating; members that it does not mention are absent. */
export interface GenerationConfig {
  /** Tokens that end a text; empty when the checkpoint names none. */
  readonly eosTokenIds: readonly number[];
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  /** Most tokens of an answer. */
  readonly maxTokens?: number;
}

/**
 * Reads the settings from generation_config.json (where there is one); end tokens that it does not name come from
 * config.json.
 * @throws CheckpointError
 */
export function readGenerationConfig(
  config: Fields,
  generation: Fields | undefined,
  vocabSize: number,
): GenerationConfig {
  const endTokens = (fields: Fields) => fields.integers('eos_token_id', { min: 0, max: vocabSize - 1 });
  const eosTokenIds = generation?.has('eos_token_id') ? endTokens(generation) : endTokens(config);
  if (generation === undefined) return { eosTokenIds };
  const optional = <T>(name: string, read: (name: string) => T): T | undefined =>
    generation.has(name) ? read(name) : undefined;
  return {
    eosTokenIds,
    temperature: optional('temperature', (name) => generation.number(name, { min: 0, max: 100 })),
    topK: optional('top_k', (name) => generation.integer(name, { min: -1, max: 2 ** 31 })),
    topP: optional('top_p', (name) => generation.positive(name, undefined, 1)),
    minP: optional('min_p', (name) => generation.number(name, { min: 0, max: 1 })),
    repetitionPenalty: optional('repetition_penalty', (name) => generation.positive(name)),
    maxTokens: optional('max_new_tokens', (name) => generation.integer(name, { min: 1, max: 2 ** 31 })),
  };
}
