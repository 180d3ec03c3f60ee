/**
 * Structural tags: text that is free until one of some triggers comes up; from there on it is one of the tags that begin with
 * the trigger, its content JSON by a schema, and after the tag's end it is free again.
 * Source: the forms that vLLM takes, of XGrammar before and since its version 0.1.24.
 */

import { readList, readObject, readString, refuse, refuseBecause, shown } from './coercion.ts';
import { readJsonObject } from './fields.ts';

const MAX_TAGS = 128;

export interface StructuralTag {
  readonly triggers: readonly string[];
  readonly tags: readonly { readonly begin: string; readonly schema: unknown; readonly end: string }[];
}

/** `{structures, triggers}`, or `{format: {type: "triggered_tags", tags, triggers}}`; either may come as its JSON text. */
export function readStructuralTag(value: unknown): StructuralTag {
  const { structures, triggers, format } = readJsonObject(typeof value === 'string' ? parsed(value) : value);
  const given = format === undefined ? { structures, triggers } : readTriggeredTags(format);
  const tags = readList(given.structures, MAX_TAGS, 'a list of structures').map(readTag);
  const starts = readList(given.triggers, MAX_TAGS, 'a list of triggers').map((text) => nonEmpty('trigger', text));
  if (tags.length === 0 || starts.length === 0) refuseBecause('must have at least one structure and one trigger');
  for (const { begin } of tags) {
    if (!starts.some((trigger) => begin.startsWith(trigger))) {
      refuseBecause(`has a structure that begins with ${shown(begin)}, which no trigger is the beginning of`);
    }
  }
  return { triggers: starts, tags };
}

function readTriggeredTags(format: unknown): { structures: unknown; triggers: unknown } {
  const { type, tags, triggers, at_least_one: atLeastOne, stop_after_first: stopsAfterFirst } = readObject(format);
  if (type !== 'triggered_tags') refuseBecause(`must have the format "triggered_tags", got ${shown(type)}`);
  if (atLeastOne === true || stopsAfterFirst === true) refuseBecause('cannot be at_least_one or stop_after_first');
  return { structures: tags, triggers };
}

function readTag(value: unknown): StructuralTag['tags'][number] {
  const { begin, end, schema, content } = readObject(value);
  const { type, json_schema: inContent } =
    content === undefined ? { type: 'json_schema', json_schema: schema } : readObject(content);
  if (type !== 'json_schema') refuseBecause(`must have contents of the type "json_schema", got ${shown(type)}`);
  return {
    begin: nonEmpty('begin', begin),
    // Without an end a content such as a number would be over with its first digit.
    end: nonEmpty('end', end),
    schema: typeof inContent === 'boolean' ? inContent : readJsonObject(inContent),
  };
}

function nonEmpty(name: string, value: unknown): string {
  const text = typeof value === 'string' ? value : refuseBecause(`has a ${name} that is no string, ${shown(value)}`);
  return readString(text) === '' ? refuseBecause(`has an empty ${name}`) : text;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse('JSON', text);
  }
}
