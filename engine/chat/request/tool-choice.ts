/** Which tools a request lets the model call, and whether it must. */

import type { z } from 'zod';
import { RequestError } from '../../errors.ts';
import { isGiven, readObject, refuse, shown } from './coercion.ts';
import { boolean, describe, field } from './fields.ts';
import { toolsSchema } from './messages.ts';

/** `name`: the one tool that must be called. */
export type ToolChoice = 'none' | 'auto' | 'required' | { readonly name: string };

type ToolChoiceParam =
  | 'none'
  | 'auto'
  | 'required'
  | { readonly type?: 'function'; readonly function: { readonly name: string } };

export const toolFields = {
  tools: describe(toolsSchema, 'Functions that the model may call.'),
  tool_choice: field<ToolChoiceParam, ToolChoice>(
    'none: no calls; auto: the model decides; required: at least one call; an object with function.name: that call. ' +
      'Default: auto with tools, else none.',
    { anyOf: [{ enum: ['none', 'auto', 'required'] }, { type: 'object' }] },
    readToolChoice,
  ),
  parallel_tool_calls: boolean('False: only the first call of a turn counts.', { default: true }),
};

type ToolFields = { readonly [K in keyof typeof toolFields]?: z.output<(typeof toolFields)[K]> };
export type Tool = NonNullable<ToolFields['tools']>[number];

/** @throws RequestError for a choice without tools */
export function checkToolFields(body: Readonly<Record<string, unknown>>): void {
  const { tool_choice: choice, tools } = body;
  if (isGiven(choice) && choice !== 'none' && !isGiven(tools)) {
    throw new RequestError(`tool_choice ${shown(choice)} needs tools to be set`, 'tool_choice');
  }
}

/** @throws RequestError when the tool that must be called is not among the tools */
export function toolChoiceOf({ tools, tool_choice: choice }: ToolFields): ToolChoice {
  if (typeof choice === 'object' && !tools?.some((tool) => tool.function.name === choice.name)) {
    throw new RequestError(`tool_choice names ${shown(choice.name)}, which is not in tools`, 'tool_choice');
  }
  return tools?.length ? (choice ?? 'auto') : 'none';
}

/** What the output must be for a choice that forces calls; null for one that does not. */
export function callConstraint(
  choice: ToolChoice,
  tools: readonly Tool[],
  { whitespacePattern, isParallel = true }: { readonly whitespacePattern?: string; readonly isParallel?: boolean } = {},
) {
  if (choice === 'none' || choice === 'auto') return null;
  const named = typeof choice === 'object' && tools.find(({ function: { name } }) => name === choice.name);
  const schema = named ? parametersOf(named) : requiredSchema(tools, isParallel);
  return { constraint: { kind: 'json', schema, whitespacePattern }, param: 'tool_choice' } as const;
}

/** A function without parameters takes an empty object. */
export function parametersOf({ function: { parameters } }: Tool): Readonly<Record<string, unknown>> {
  return parameters
    ? { type: 'object', ...parameters }
    : { type: 'object', properties: {}, additionalProperties: false };
}

/** A list of calls by name and parameters; where they are not parallel, of one. */
function requiredSchema(tools: readonly Tool[], isParallel: boolean): object {
  const calls = tools.map((tool) => ({
    type: 'object',
    properties: { name: { const: tool.function.name }, parameters: withoutDefinitions(parametersOf(tool)) },
    required: ['name', 'parameters'],
    additionalProperties: false,
  }));
  const most = isParallel ? {} : { maxItems: 1 };
  return { type: 'array', minItems: 1, ...most, items: { anyOf: calls }, ...mergedDefinitions(tools) };
}

const DEFINITION_KEYS = ['$defs', 'definitions'] as const;

/** What references in a tool's parameters may point to. */
export function definitionsOf(tool: Tool): Readonly<Record<string, unknown>> {
  const entries = Object.entries(parametersOf(tool));
  return Object.fromEntries(entries.filter(([key]) => DEFINITION_KEYS.includes(key as '$defs')));
}

/** References point to the root of a schema, so the definitions of all tools go there. */
function mergedDefinitions(tools: readonly Tool[]): Record<string, Record<string, unknown>> {
  const merged: Record<string, Record<string, unknown>> = {};
  for (const key of DEFINITION_KEYS) {
    for (const tool of tools) {
      for (const [name, body] of Object.entries((parametersOf(tool)[key] as object | undefined) ?? {})) {
        merged[key] ??= {};
        if (name in merged[key] && JSON.stringify(merged[key][name]) !== JSON.stringify(body)) {
          throw new RequestError(`tools have two different ${key}/${name}`, 'tools');
        }
        merged[key][name] = body;
      }
    }
  }
  return merged;
}

function withoutDefinitions(schema: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(schema).filter(([key]) => !DEFINITION_KEYS.includes(key as '$defs')));
}

function readToolChoice(value: unknown): ToolChoice {
  if (value === 'none' || value === 'auto' || value === 'required') return value;
  if (typeof value !== 'object') return refuse('"none", "auto", "required" or a function', value);
  const name = (readObject(value).function as { name?: unknown } | undefined)?.name;
  return typeof name === 'string' ? { name } : refuse('an object with a function.name', value);
}
