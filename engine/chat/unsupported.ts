/**
 * Parameters that the API has and this engine has not. A value that asks for nothing is accepted; any other is refused, since
 * an answer without the feature would be wrong in silence.
 */

import type { z } from 'zod';
import { isGiven, optional, readBoolean, readObject, refuse, refuseBecause, shown } from './coercion.ts';

const NOT_YET = 'is not supported yet';

/** Any value but null is refused. */
const never = optional<never, undefined>(() => refuseBecause(NOT_YET));

/** A switch that must stay where it is. */
function mustBe(setting: boolean) {
  return optional<boolean, boolean>((value) => {
    if (readBoolean(value) !== setting) refuseBecause(`${value} ${NOT_YET}`);
    return setting;
  });
}

/** A parameter of beam search, which means nothing without it. */
function onlyWithBeamSearch(isNeutral: (value: unknown) => boolean) {
  return optional<unknown, undefined>((value) => {
    if (!isNeutral(value)) refuseBecause(`${shown(value)} is not effective without beam search`);
    return undefined;
  });
}

const GUIDED_BACKENDS: readonly unknown[] = ['outlines', 'lm-format-enforcer', 'xgrammar', 'guidance', 'auto'];

export const unsupportedFields = {
  use_beam_search: mustBe(false),
  length_penalty: onlyWithBeamSearch((value) => Math.abs(Number(value) - 1) < 1e-5),
  early_stopping: onlyWithBeamSearch((value) => value === false || value === 0 || value === 'false'),
  echo: mustBe(false),
  add_generation_prompt: mustBe(true),
  add_special_tokens: mustBe(false),
  continue_final_message: mustBe(false),
  return_tokens_as_token_ids: mustBe(false),
  return_token_ids: mustBe(false),
  response_format: optional<{ type: 'text' }, undefined>((value) => {
    const { type } = readObject(value);
    if (type === 'json_object' || type === 'json_schema') refuseBecause(`of type ${shown(type)} ${NOT_YET}`);
    if (type !== 'text') refuseBecause(`must have the type "text", "json_object" or "json_schema", got ${shown(type)}`);
    return undefined;
  }),
  guided_decoding_backend: optional<string, undefined>((value) => {
    if (!GUIDED_BACKENDS.includes(value)) refuse(`one of ${GUIDED_BACKENDS.join(', ')}`, value);
    return undefined;
  }),
  modalities: optional<readonly 'text'[], undefined>((value) => {
    const isText = Array.isArray(value) && value.every((modality) => modality === 'text');
    if (!isText) refuse('["text"], since the model is not multimodal', value);
    return undefined;
  }),
  guided_json: never,
  guided_regex: never,
  guided_choice: never,
  guided_grammar: never,
  guided_whitespace_pattern: never,
  structured_outputs: never,
  grammar: never,
  json_schema: never,
  audio: never,
  web_search_options: never,
  functions: never,
  function_call: never,
  chat_template: never,
  documents: never,
  allowed_token_ids: never,
  bad_words: never,
  prompt_logprobs: never,
  truncate_prompt_tokens: never,
  reasoning_effort: never,
  thinking_token_budget: never,
  repetition_detection: never,
  cache_salt: never,
} satisfies Record<string, z.ZodType>;

const GUIDED_KINDS = ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar'] as const;

/** The guided parameters of a body, by name: more than one of them is a fault of its own. */
export function guidedKinds(body: Readonly<Record<string, unknown>>): string[] {
  return GUIDED_KINDS.filter((name) => isGiven(body[name]));
}
