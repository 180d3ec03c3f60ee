/**
 * How each family's calls go on once they have begun, as grammars in Lark's notation: only tools that there are, and only
 * arguments that their schemas allow. Members come in the order in which the schema declares them, and no others.
 */

import type { CallFormatName } from '../dialects/formats.ts';
import { definitionsOf, parametersOf, type Tool } from '../request/tool-choice.ts';
import type { CallStart } from './call-grammar.ts';
import { closeObjects } from './close-objects.ts';
import { anyOf, type Item, json, LarkText, listOf, quote } from './lark-text.ts';

/** A beginning of a call, and the language of what comes after it. */
export interface CallLanguage extends Omit<CallStart, 'call'> {
  readonly lark: string;
}

interface Family {
  readonly languages: (tools: readonly Tool[]) => readonly CallLanguage[];
  /** Texts in the calls that are special tokens in some models. */
  readonly markers?: readonly string[];
}

/** What may stand between the tokens of JSON, and around whole calls. */
const GAP = '/[ ]?/';
const LINES = '/[ \\n]{0,3}/';
/** Texts that stand without quotes: none of them has the marker that ends it. */
const TAGGED_TEXT = '/([^<]|<+[^<\\/])*/';
const GEMMA_TEXT = '/([^<]|<+[^<e])*/';
const SCALAR = { type: ['number', 'boolean', 'null'] };

/** By the names of the families. */
export const CALL_LANGUAGES: Readonly<Record<CallFormatName, Family>> = {
  hermes: {
    languages: (tools) => [{ trigger: '<tool_call>', lark: `start: ${LINES} ${objects(tools, 'arguments')}` }],
  },
  granite: {
    languages: (tools) =>
      ['<|tool_call|>', '<tool_call>'].map((trigger) => ({
        trigger,
        lark: `start: ${LINES} ${objectList(tools)}`,
      })),
  },
  llama3_json: {
    languages: (tools) => [
      { trigger: '<|python_tag|>', lark: `start: ${LINES} ${objects(tools, 'parameters')}` },
      { trigger: '{"name"', atBoundary: true, lark: `start: ${afterName(tools, 'parameters')}` },
    ],
  },
  mistral: {
    languages: (tools) => {
      const named = tools.map(
        (tool) => `${quote(tool.function.name)} ("[CALL_ID]" /[a-zA-Z0-9]{9}/)? "[ARGS]"? ${GAP} ${argumentsOf(tool)}`,
      );
      return [{ trigger: '[TOOL_CALLS]', lark: `start: ${GAP} (${objectList(tools)} | ${named.join(' | ')})` }];
    },
    markers: ['[CALL_ID]', '[ARGS]'],
  },
  pythonic: {
    languages: (tools) =>
      tools.flatMap((tool) =>
        ['[', ''].map((bracket) => ({
          trigger: `${bracket}${tool.function.name}(`,
          atBoundary: true,
          lark: pythonArguments(tool),
        })),
      ),
  },
  qwen3_coder: {
    languages: (tools) => {
      const lark = new LarkText();
      const calls = tools.map((tool) => `${quote(`${tool.function.name}>`)} ${LINES} ${taggedArguments(lark, tool)}`);
      return [{ trigger: '<tool_call>', lark: lark.text(`${LINES} "<function=" ${anyOf(calls)} "</function>"`) }];
    },
  },
  functiongemma: {
    languages: (tools) => {
      const lark = new LarkText();
      const calls = tools.map((tool) => `${quote(tool.function.name)} ${gemmaObject(lark, parametersOf(tool))}`);
      return [{ trigger: '<start_function_call>', lark: lark.text(`"call:" ${anyOf(calls)}`) }];
    },
    markers: ['<escape>'],
  },
  openai: {
    languages: (tools) => {
      const type = '(" " ("json" | "code") | " "? "<|constrain|>json")?';
      const header = `(" "? "<|channel|>commentary")? ${type} "<|message|>"`;
      const calls = tools.map((tool) => `${quote(tool.function.name)} ${header} ${argumentsOf(tool)}`);
      return [{ trigger: 'to=functions.', lark: `start: ${anyOf(calls)}` }];
    },
    markers: ['<|channel|>', '<|constrain|>', '<|message|>'],
  },
};

type ArgumentsKey = 'arguments' | 'parameters';

function argumentsOf(tool: Tool): string {
  return json(closeObjects(parametersOf(tool)));
}

/** `{"name": …, "arguments": {…}}`. */
function objects(tools: readonly Tool[], key: ArgumentsKey): string {
  return `"{" ${GAP} "\\"name\\"" ${afterName(tools, key)}`;
}

/** The same from the colon behind the first key on. */
function afterName(tools: readonly Tool[], key: ArgumentsKey): string {
  return `${GAP} ":" ${GAP} ${nameAndArguments(tools, key)} ${GAP} "}"`;
}

/** Such objects in a list; each may have an id. */
function objectList(tools: readonly Tool[]): string {
  const id = `(${GAP} "," ${GAP} "\\"id\\"" ${GAP} ":" ${GAP} /"[a-zA-Z0-9]{9}"/)?`;
  const call = `"{" ${GAP} "\\"name\\"" ${GAP} ":" ${GAP} ${nameAndArguments(tools, 'arguments')} ${id} ${GAP} "}"`;
  return `"[" ${LINES} ${call} (${LINES} "," ${LINES} ${call})* ${LINES} "]"`;
}

/** `"f", "arguments": {…}`: a tool's name, and arguments that it takes. */
function nameAndArguments(tools: readonly Tool[], key: ArgumentsKey): string {
  const calls = tools.map((tool) => {
    const name = quote(JSON.stringify(tool.function.name));
    return `${name} ${GAP} "," ${GAP} ${quote(`"${key}"`)} ${GAP} ":" ${GAP} ${argumentsOf(tool)}`;
  });
  return anyOf(calls);
}

/** Parameters as a schema declares them. A reference is resolved by the definitions that go with it. */
function declared(tool: Tool): { name: string; schema: Schema; isOptional: boolean }[] {
  return members(parametersOf(tool)).map(({ schema, ...rest }) => ({
    ...rest,
    schema: { ...definitionsOf(tool), ...schema },
  }));
}

type Schema = Readonly<Record<string, unknown>>;

function members(schema: Schema): { name: string; schema: Schema; isOptional: boolean }[] {
  const { properties, required } = schema;
  return Object.entries(isSchema(properties) ? properties : {}).map(([name, property]) => ({
    name,
    schema: isSchema(property) ? property : {},
    isOptional: !(Array.isArray(required) && required.includes(name)),
  }));
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `a=1, b="x")`: what comes after the opening bracket. Python's words are allowed where JSON's are. */
function pythonArguments(tool: Tool): string {
  const lark = new LarkText();
  const items = declared(tool).map(
    ({ name, schema, isOptional }): Item => ({
      expression: `${quote(`${name}=`)} ${schema.type === 'boolean' ? '("True" | "False")' : json(closeObjects(schema))}`,
      isOptional,
    }),
  );
  return lark.text(`${listOf(lark, items, `"," ${GAP}`)} ")"`);
}

/** `<parameter=KEY>VALUE</parameter>` for each argument. Texts stand there as they are, all else as JSON. */
function taggedArguments(lark: LarkText, tool: Tool): string {
  const items = declared(tool).map(({ name, schema, isOptional }): Item => {
    const value = schema.type === 'string' ? plainText(schema, TAGGED_TEXT) : json(closeObjects(schema));
    return { expression: `${quote(`<parameter=${name}>`)} "\\n"? ${value} "\\n"? "</parameter>" ${LINES}`, isOptional };
  });
  return listOf(lark, items, quote(''));
}

/** `{key:<escape>text<escape>,other:3}`. */
function gemmaObject(lark: LarkText, schema: Schema): string {
  const items = members(schema).map(
    ({ name, schema: property, isOptional }): Item => ({
      expression: `${quote(`${name}:`)} ${gemmaValue(lark, property)}`,
      isOptional,
    }),
  );
  return `"{" ${listOf(lark, items, '","')} "}"`;
}

function gemmaValue(lark: LarkText, schema: Schema): string {
  const { type, items, properties } = schema;
  if (type === 'string') return `"<escape>" ${plainText(schema, GEMMA_TEXT)} "<escape>"`;
  if (type === 'object' && properties) return gemmaObject(lark, schema);
  if (type === 'array' && isSchema(items)) {
    const item = lark.rule(gemmaValue(lark, items));
    return `"[" (${item} ("," ${item})*)? "]"`;
  }
  const isScalar = ['number', 'integer', 'boolean', 'null'].includes(type as string);
  // What a schema says in other ways is left at any text or word.
  return isScalar ? json(schema) : anyOf([json(SCALAR), `"<escape>" ${GEMMA_TEXT} "<escape>"`]);
}

/** A text without quotes: one of those that are listed, or any. */
function plainText({ enum: words }: Schema, any: string): string {
  const texts = Array.isArray(words) ? words.filter((word) => typeof word === 'string') : [];
  return texts.length > 0 ? anyOf(texts.map(quote)) : any;
}
