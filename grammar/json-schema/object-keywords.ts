/** The keywords that describe the members of objects. */

import type { Place } from './document.ts';
import { isObject, type Json, type JsonObject } from './json-text.ts';
import type { SchemaReader } from './reader.ts';
import { OBJECT, type Value } from './values.ts';

/** What a schema's keywords ask of objects; `required` is not among them. */
export function readObjectKeywords(reader: SchemaReader, place: Place, schema: JsonObject): Value[] {
  const { values } = reader;
  const found: Value[] = [];

  const properties = new Map(
    reader
      .entries(place, schema, 'properties')
      .map(([name, inner]) => [name, reader.subschema(place, inner, 'properties', name)] as const),
  );
  const patterns = reader
    .entries(place, schema, 'patternProperties')
    .map(
      ([source, inner]) =>
        [
          reader.pattern(place, source, 'patternProperties', source),
          reader.subschema(place, inner, 'patternProperties', source),
        ] as const,
    );
  const additional = schema.get('additionalProperties');
  const others = additional === undefined ? values.all : reader.subschema(place, additional, 'additionalProperties');
  if (properties.size > 0 || patterns.length > 0 || others !== values.all) {
    found.push(values.members({ properties, patterns, others }));
  }

  const names = schema.get('propertyNames');
  if (names !== undefined) found.push(values.names(reader.subschema(place, names, 'propertyNames')));

  const min = reader.count(place, schema, 'minProperties') ?? 0;
  const max = reader.count(place, schema, 'maxProperties') ?? Number.POSITIVE_INFINITY;
  found.push(values.count(OBJECT, min, max));

  for (const keyword of ['dependentRequired', 'dependentSchemas', 'dependencies']) {
    for (const [name, inner] of reader.entries(place, schema, keyword)) {
      found.push(values.or(values.forbidden(name), dependency(reader, place, keyword, name, inner)));
    }
  }
  return found;
}

/** What must hold of an object with a member `name`. */
export function dependency(reader: SchemaReader, place: Place, keyword: string, name: string, inner: Json): Value {
  const { values } = reader;
  if (
    keyword === 'dependentSchemas' ||
    (keyword === 'dependencies' && (isObject(inner) || typeof inner === 'boolean'))
  ) {
    return reader.subschema(place, inner, keyword, name);
  }
  const single = keyword === 'dependencies' && typeof inner === 'string' ? [inner] : inner;
  return values.and(...reader.names(place, single, keyword, name).map((needed) => values.required(needed)));
}
