/** Models of any kind under a schema: whatever they would like to say, the text is JSON that validates. */

import { Ajv2020 } from 'ajv/dist/2020.js';
import * as assert from 'uvu/assert';
import type { Engine } from '../../engine/index.ts';

const SCHEMAS = [
  {
    type: 'object',
    properties: {
      name: { type: 'string', minLength: 1, maxLength: 12 },
      age: { type: 'integer', minimum: 0, maximum: 130 },
      tags: { type: 'array', items: { enum: ['a', 'b', 'c'] }, maxItems: 3, uniqueItems: true },
      born: { type: 'string', format: 'date' },
      ok: { type: ['boolean', 'null'] },
    },
    required: ['name', 'age', 'tags'],
    additionalProperties: false,
  },
  {
    oneOf: [
      {
        type: 'object',
        properties: { kind: { const: 'x' }, v: { type: 'number', multipleOf: 0.5, minimum: -3, maximum: 9 } },
        required: ['kind', 'v'],
        additionalProperties: false,
      },
      {
        type: 'object',
        properties: { kind: { const: 'y' }, v: { type: 'string', pattern: '^[a-f]{2,6}$' } },
        required: ['kind', 'v'],
        additionalProperties: false,
      },
    ],
  },
  {
    $defs: {
      tree: {
        type: 'object',
        properties: {
          k: { type: 'integer', minimum: 0, maximum: 9 },
          left: { $ref: '#/$defs/leaf' },
          right: { $ref: '#/$defs/leaf' },
        },
        required: ['k'],
        additionalProperties: false,
      },
      leaf: { type: 'object', properties: { k: { type: 'boolean' } }, required: ['k'], additionalProperties: false },
    },
    type: 'array',
    items: { $ref: '#/$defs/tree' },
    minItems: 1,
    maxItems: 2,
  },
  {
    type: 'object',
    patternProperties: { '^[a-c]$': { type: 'boolean' } },
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 2,
  },
];

/** Every text of `count` validates; all come to their end, for the schemas bound their length. */
export async function writesJson(engine: Engine, prompt: string, count: number, maxTokens: number): Promise<void> {
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const validators = SCHEMAS.map((schema) => ajv.compile(schema));
  for (let i = 0; i < count; i++) {
    const at = i % SCHEMAS.length;
    const { choices } = await engine.completions.create({
      prompt,
      guided_json: SCHEMAS[at],
      guided_whitespace_pattern: '',
      temperature: 1.5,
      top_k: -1,
      top_p: 1,
      seed: i,
      max_tokens: maxTokens,
    });
    const [{ text, finish_reason: reason }] = choices;
    assert.is(reason, 'stop', text);
    assert.ok(validators[at](JSON.parse(text)), text);
  }
}
