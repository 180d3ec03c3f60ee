/** The keywords that describe the items of arrays. */

import { hidesSiblings, type Place } from './document.ts';
import type { Json, JsonObject } from './json-text.ts';
import type { SchemaReader } from './reader.ts';
import { ARRAY, type Value } from './values.ts';

/** What a schema's keywords ask of arrays. */
export function readArrayKeywords(reader: SchemaReader, place: Place, schema: JsonObject): Value[] {
  const { values } = reader;
  const found: Value[] = [];
  const { prefix, rest } = itemSchemas(place, schema);
  found.push(
    values.items(
      prefix.list.map((item, i) => reader.subschema(place, item, prefix.keyword, i)),
      rest.schema === undefined ? values.all : reader.subschema(place, rest.schema, rest.keyword),
    ),
  );

  const min = reader.count(place, schema, 'minItems') ?? 0;
  const max = reader.count(place, schema, 'maxItems') ?? Number.POSITIVE_INFINITY;
  found.push(values.count(ARRAY, min, max));

  const contains = schema.get('contains');
  if (contains !== undefined) {
    const least = reader.count(place, schema, 'minContains') ?? 1;
    const most = reader.count(place, schema, 'maxContains') ?? Number.POSITIVE_INFINITY;
    found.push(values.contains(reader.subschema(place, contains, 'contains'), least, most));
  }

  const unique = schema.get('uniqueItems');
  if (unique === true) found.push(values.unique(`${place.pointer}/uniqueItems`));
  else if (unique !== undefined && unique !== false) reader.fail(place, ['uniqueItems'], unique, 'true or false');
  return found;
}

/** The schemas of the first items and of all others, in the spelling of any draft; other values than lists are no prefix. */
export function itemSchemas(place: Place, schema: JsonObject) {
  const items = schema.get('items');
  const tuple = place.draft !== '2020-12' && Array.isArray(items);
  const keyword = tuple ? 'items' : 'prefixItems';
  const prefix = hidesSiblings(place.draft) && !tuple ? undefined : schema.get(keyword);
  const rest = tuple ? 'additionalItems' : 'items';
  return {
    prefix: { keyword, list: Array.isArray(prefix) ? prefix : ([] as Json[]) },
    rest: { keyword: rest, schema: schema.get(rest) },
  };
}
