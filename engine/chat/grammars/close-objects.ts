/** Objects have the properties that their schema declares, and no others, unless it says otherwise. */

type Schema = Readonly<Record<string, unknown>>;

/** Keywords by which one object is described in several places: what one of them leaves out another may declare. */
const COMPOSING: ReadonlySet<string> = new Set([
  ...[
    'allOf',
    'not',
    'if',
    'dependentSchemas',
    'dependencies',
    'unevaluatedProperties',
    '$dynamicRef',
    '$recursiveRef',
  ],
]);
const BY_NAME: ReadonlySet<string> = new Set(['properties', '$defs', 'definitions']);
const LISTS: ReadonlySet<string> = new Set(['anyOf', 'oneOf', 'prefixItems', 'items']);
const OPENING = ['additionalProperties', 'patternProperties'] as const;

/** The same schema with `additionalProperties: false` where it only lists properties. */
export function closeObjects(schema: unknown): unknown {
  return composes(schema) ? schema : closed(schema);
}

/** The same for all schemas in a structural tag. */
export function closeTagSchemas(spec: unknown): unknown {
  if (Array.isArray(spec)) return spec.map(closeTagSchemas);
  if (!isSchema(spec)) return spec;
  const entries = Object.entries(spec).map(([name, value]): [string, unknown] => {
    const isSchemaMember = name === 'schema' || name === 'json_schema';
    return [name, isSchemaMember ? closeObjects(value) : closeTagSchemas(value)];
  });
  return Object.fromEntries(entries);
}

function closed(schema: unknown): unknown {
  if (!isSchema(schema)) return schema;
  const entries = Object.entries(schema).map(([keyword, value]): [string, unknown] => {
    if (BY_NAME.has(keyword) && isSchema(value)) {
      return [keyword, Object.fromEntries(Object.entries(value).map(([name, member]) => [name, closed(member)]))];
    }
    if (LISTS.has(keyword) && Array.isArray(value)) return [keyword, value.map(closed)];
    return [keyword, keyword === 'items' || keyword === 'additionalProperties' ? closed(value) : value];
  });
  const isList = 'properties' in schema && !OPENING.some((keyword) => keyword in schema);
  return Object.fromEntries(isList ? [...entries, ['additionalProperties', false]] : entries);
}

function composes(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, member]) => COMPOSING.has(key) || composes(member));
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
