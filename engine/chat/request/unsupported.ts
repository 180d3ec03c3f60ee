/**
 * Parameters that the API has and this engine has not. A value that asks for nothing is accepted; any other is refused, since
 * an answer without the feature would be wrong in silence.
 */

import type { z } from 'zod';
import { refuse, refuseBecause } from './coercion.ts';
import { field } from './fields.ts';

const never = (description: string) =>
  field<never, undefined>(`${description} Refused.`, {}, () => refuseBecause('is not supported'));

export const unsupportedFields = {
  modalities: field<readonly 'text'[], undefined>(
    'Only ["text"].',
    { type: 'array', items: { enum: ['text'] } },
    (value) => {
      const isText = Array.isArray(value) && value.every((modality) => modality === 'text');
      if (!isText) refuse('["text"], since the model is not multimodal', value);
      return undefined;
    },
  ),
  audio: never('Sound as output.'),
  web_search_options: never('Search in the web.'),
  functions: never('The old form of tools.'),
  function_call: never('The old form of tool_choice.'),
} satisfies Record<string, z.ZodType>;
