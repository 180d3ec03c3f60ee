/** Constraints on the output: every way in which a request can ask for one, and which of them counts. */

import { z } from 'zod';
import { RequestError } from '../../errors.ts';
import { isGiven, readList, readObject, readString, refuse, refuseBecause, shown } from './coercion.ts';
import { boolean, field, oneOf, readJsonObject, readJsonText, readObjectOrText, string } from './fields.ts';

const MAX_CHOICES = 10_000;

export type Constraint =
  | { readonly kind: 'json'; readonly schema: unknown; readonly whitespacePattern?: string }
  | { readonly kind: 'regex'; readonly pattern: string }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'grammar'; readonly text: string }
  | { readonly kind: 'tags'; readonly spec: object; readonly whitespacePattern?: string };

/** A constraint and the parameter that it came from. */
export interface GivenConstraint<T extends Constraint = Constraint> {
  readonly constraint: T;
  readonly param: string;
}

const BACKENDS = ['outlines', 'lm-format-enforcer', 'xgrammar', 'guidance', 'auto'] as const;
/** The schema of `json_object`. */
export const ANY_OBJECT = { type: 'object' };

const jsonSchemaOf = (description: string) =>
  field<object | string | boolean, unknown>(description, { type: ['object', 'string', 'boolean'] }, readSchema);
const pattern = (description: string) => field<string, string>(description, { type: 'string', minLength: 1 }, readText);
const choices = (description: string) =>
  field<readonly string[], readonly string[]>(
    description,
    { type: 'array', items: { type: 'string' }, minItems: 1 },
    readChoices,
  );

const structuredOutputs = z.object({
  json: jsonSchemaOf('As guided_json.'),
  regex: pattern('As guided_regex.'),
  choice: choices('As guided_choice.'),
  grammar: pattern('As guided_grammar.'),
  json_object: boolean('The output is a JSON object.'),
  structural_tag: field<object | string, object>(
    'Free text until one of the triggers, then one of the structures (begin, schema, end), then free text again; or any format of XGrammar.',
    { type: ['object', 'string'] },
    readObjectOrText,
  ),
  whitespace_pattern: string('As guided_whitespace_pattern.'),
  disable_any_whitespace: boolean('Nothing stands between the tokens of JSON.', { default: false }),
  disable_additional_properties: boolean('Accepted; objects that list properties have no others in any case.', {
    default: false,
  }),
});

export const constraintFields = {
  response_format: field<ResponseFormat, Constraint | null>(
    'text: no constraint; json_object: a JSON object; json_schema: JSON by the schema in json_schema.schema; ' +
      'structural_tag: as in structured_outputs.',
    {
      type: 'object',
      properties: { type: { enum: ['text', 'json_object', 'json_schema', 'structural_tag'] } },
      required: ['type'],
    },
    readResponseFormat,
  ),
  structured_outputs: structuredOutputs.nullish().meta({ description: 'A constraint as its one member.' }),
  guided_json: jsonSchemaOf('The output is JSON by this JSON Schema, an object or its text.'),
  guided_regex: pattern('The whole output matches this regular expression.'),
  guided_choice: choices('The output is one of these strings.'),
  guided_grammar: pattern(
    'The output is in the language of this grammar: GBNF (with ::=, from root) or Lark (from start; %json {…} is the JSON of a schema).',
  ),
  guided_whitespace_pattern: string(
    'What may stand between the tokens of JSON, as a regular expression. Default: [ ]?',
  ),
  guided_decoding_backend: oneOf('Accepted by these names; there is one engine.', BACKENDS),
  grammar: pattern('As guided_grammar.'),
  json_schema: jsonSchemaOf('As guided_json.'),
};

/** The type of `response_format`. */
export type ResponseFormat =
  | { readonly type: 'text' | 'json_object' }
  | { readonly type: 'structural_tag'; readonly [member: string]: unknown }
  | {
      readonly type: 'json_schema';
      readonly json_schema: {
        readonly name: string;
        readonly schema?: unknown;
        readonly strict?: boolean | null;
        readonly description?: string;
      };
    };

type ConstraintFields = { readonly [K in keyof typeof constraintFields]?: z.output<(typeof constraintFields)[K]> };

const GUIDED_KINDS = ['guided_json', 'guided_regex', 'guided_choice', 'guided_grammar'] as const;
const STRUCTURED_KINDS = ['json', 'regex', 'choice', 'grammar', 'json_object', 'structural_tag'] as const;

/** @throws RequestError for more than one of the guided parameters */
export function checkConstraintFields(body: Readonly<Record<string, unknown>>): void {
  const guided = GUIDED_KINDS.filter((name) => isGiven(body[name]));
  if (guided.length < 2) return;
  throw new RequestError(`only one kind of guided output at a time, got ${guided.join(' and ')}`);
}

/**
 * What a request asks for. The guided parameters come before `structured_outputs`, and all of them before
 * `response_format`.
 * @throws RequestError when `structured_outputs` has not exactly one constraint
 */
export function constraintOf(request: ConstraintFields): GivenConstraint | null {
  const { guided_whitespace_pattern: whitespacePattern, structured_outputs: structured } = request;
  const json = (schema: unknown, param: string) => ({
    constraint: { kind: 'json' as const, schema, whitespacePattern },
    param,
  });
  const grammar = (text: string, param: string) => ({ constraint: { kind: 'grammar' as const, text }, param });
  if (request.guided_json !== undefined) return json(request.guided_json, 'guided_json');
  if (request.guided_regex !== undefined) {
    return { constraint: { kind: 'regex', pattern: request.guided_regex }, param: 'guided_regex' };
  }
  if (request.guided_choice) {
    return { constraint: { kind: 'choice', choices: request.guided_choice }, param: 'guided_choice' };
  }
  if (request.guided_grammar !== undefined) return grammar(request.guided_grammar, 'guided_grammar');
  if (structured) return { constraint: structuredConstraint(structured), param: 'structured_outputs' };
  if (request.json_schema !== undefined) return json(request.json_schema, 'json_schema');
  if (request.grammar !== undefined) return grammar(request.grammar, 'grammar');
  const format = request.response_format;
  if (!format) return null;
  return {
    constraint: format.kind === 'json' || format.kind === 'tags' ? { ...format, whitespacePattern } : format,
    param: 'response_format',
  };
}

function structuredConstraint(structured: z.output<typeof structuredOutputs>): Constraint {
  const given = STRUCTURED_KINDS.filter((kind) => structured[kind] !== undefined && structured[kind] !== false);
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none' : given.join(' and ');
    const message = `structured_outputs must have exactly one of ${STRUCTURED_KINDS.join(', ')}, got ${found}`;
    throw new RequestError(message, 'structured_outputs');
  }
  const { json, regex, choice, grammar, whitespace_pattern: whitespacePattern } = structured;
  if (regex !== undefined) return { kind: 'regex', pattern: regex };
  if (choice !== undefined) return { kind: 'choice', choices: choice };
  if (grammar !== undefined) return { kind: 'grammar', text: grammar };
  const pattern = structured.disable_any_whitespace ? '' : whitespacePattern;
  const { structural_tag: spec } = structured;
  if (spec !== undefined) return { kind: 'tags', spec, whitespacePattern: pattern };
  return { kind: 'json', schema: json ?? ANY_OBJECT, whitespacePattern: pattern };
}

function readResponseFormat(value: unknown): Constraint | null {
  const { type, json_schema: given, schema } = readObject(value);
  if (type === 'text') return null;
  if (type === 'structural_tag') return { kind: 'tags', spec: readObject(value) };
  if (type === 'json_object') return { kind: 'json', schema: isGiven(schema) ? readSchema(schema) : ANY_OBJECT };
  if (type !== 'json_schema') {
    return refuseBecause(
      `must have the type "text", "json_object", "json_schema" or "structural_tag", got ${shown(type)}`,
    );
  }
  if (!isGiven(given)) return refuseBecause('of type "json_schema" needs its json_schema to be provided');
  const { name, schema: jsonSchema } = readObject(given);
  if (typeof name !== 'string' || name === '') return refuseBecause(`must have a json_schema.name, got ${shown(name)}`);
  return { kind: 'json', schema: isGiven(jsonSchema) ? readSchema(jsonSchema) : ANY_OBJECT };
}

/** A schema may come as its JSON text. */
function readSchema(value: unknown): unknown {
  const schema = typeof value === 'string' ? readJsonText(value, 'a JSON Schema') : value;
  return typeof schema === 'boolean' ? schema : readJsonObject(schema);
}

function readText(value: unknown): string {
  return readString(value) === '' ? refuse('a string that is not empty', value) : (value as string);
}

function readChoices(value: unknown): readonly string[] {
  const list = readList(value, MAX_CHOICES, 'a list of strings').map(readString);
  return list.length > 0 ? list : refuse('a list of at least one string', value);
}
