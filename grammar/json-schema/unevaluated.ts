/** `unevaluatedProperties` and `unevaluatedItems`: what no other keyword of the schema has looked at. */

import type { Regex } from '../ir.ts';
import { itemSchemas } from './array-keywords.ts';
import type { Place } from './document.ts';
import { isObject, type Json, type JsonObject } from './json-text.ts';
import { dependency } from './object-keywords.ts';
import type { SchemaReader } from './reader.ts';
import type { Value, Values } from './values.ts';

/** What the keywords of a schema and of those that apply in the same place look at. */
interface Evaluated {
  readonly names: ReadonlySet<string>;
  readonly patterns: ReadonlySet<Regex>;
  readonly allMembers: boolean;
  /** So many first items; `Infinity` for all. */
  readonly items: number;
  /** Items in one of these sets, wherever they stand. */
  readonly containing: readonly Value[];
}

/** One way in which a value can be valid, and what is evaluated then. */
interface Case {
  readonly value: Value;
  readonly evaluated: Evaluated;
}

/** Most ways in which the branches of one schema can match. */
const MAX_CASES = 128;

const nothingEvaluated: Evaluated = {
  names: new Set(),
  patterns: new Set(),
  allMembers: false,
  items: 0,
  containing: [],
};

/**
 * What the two keywords of a schema ask, beside the others.
 * @throws GrammarError when what is evaluated depends on too many branches, or on itself
 */
export function readUnevaluated(reader: SchemaReader, place: Place, schema: JsonObject): Value {
  const { values } = reader;
  const members = schema.get('unevaluatedProperties');
  const items = schema.get('unevaluatedItems');
  const cases = new CaseReader(reader).cases(place, new Set(), true);
  return values.or(
    ...cases.map(({ value, evaluated }) => {
      const parts = [value];
      if (members !== undefined && !evaluated.allMembers) {
        const others = reader.subschema(place, members, 'unevaluatedProperties');
        const properties = new Map([...evaluated.names].map((name) => [name, values.all] as const));
        const patterns = [...evaluated.patterns].map((pattern) => [pattern, values.all] as const);
        if (others !== values.all) parts.push(values.members({ properties, patterns, others }));
      }
      if (items !== undefined && evaluated.items < Number.POSITIVE_INFINITY) {
        const rest = values.or(...evaluated.containing, reader.subschema(place, items, 'unevaluatedItems'));
        const prefix = Array.from({ length: evaluated.items }, () => values.all);
        parts.push(values.items(prefix, rest));
      }
      return values.and(...parts);
    }),
  );
}

class CaseReader {
  readonly #reader: SchemaReader;

  constructor(reader: SchemaReader) {
    this.#reader = reader;
  }

  /** The cases of a subschema. Their values say only what tells the cases apart. */
  cases(place: Place, open: ReadonlySet<Json>, outermost = false): Case[] {
    const { values } = this.#reader;
    const { schema } = place;
    if (!isObject(schema)) return [{ value: values.all, evaluated: nothingEvaluated }];
    if (open.has(schema)) {
      this.#reader.fail(
        place,
        [],
        schema,
        'no reference back to itself where unevaluated members or items are asked for',
      );
    }
    const within = new Set([...open, schema]);
    let cases: Case[] = [{ value: values.all, evaluated: this.#own(place, schema, outermost) }];
    const combine = (more: readonly Case[]) => {
      cases = product(values, cases, more);
      if (cases.length > MAX_CASES) {
        this.#reader.fail(
          place,
          [],
          schema,
          `at most ${MAX_CASES} ways to match where unevaluated members or items are asked for`,
        );
      }
    };
    const none: Case = { value: values.all, evaluated: nothingEvaluated };
    /** The ways in which a subschema may match or not. */
    const either = (inner: Place): Case[] => {
      const set = values.place(inner);
      const matched = this.#matched(inner, within);
      if (matched.every(({ evaluated }) => isNothing(evaluated))) return [none];
      return [...matched, { ...none, value: values.not(set) }];
    };
    const at = (inner: Json, ...keys: (string | number)[]) => this.#reader.document.child(place, inner, ...keys);

    for (const [keyword, argument] of schema) {
      if (keyword === '$ref') combine(this.cases(this.#reader.target(place, keyword, argument), within));
      else if (keyword === '$dynamicRef' || keyword === '$recursiveRef') {
        combine(this.cases(this.#reader.dynamicTarget(place, keyword, argument), within));
      } else if (keyword === 'allOf' && Array.isArray(argument)) {
        argument.forEach((inner, i) => {
          combine(this.cases(at(inner, keyword, i), within));
        });
      } else if ((keyword === 'anyOf' || keyword === 'oneOf') && Array.isArray(argument)) {
        argument.forEach((inner, i) => {
          combine(either(at(inner, keyword, i)));
        });
      } else if (keyword === 'if') {
        const then = schema.get('then');
        const otherwise = schema.get('else');
        const condition = at(argument, keyword);
        const matched = this.#matched(condition, within);
        const thenCases = then === undefined ? [none] : this.cases(at(then, 'then'), within);
        const elseCases = otherwise === undefined ? [none] : this.cases(at(otherwise, 'else'), within);
        const negated = values.not(values.place(condition));
        combine([
          ...product(values, matched, thenCases),
          ...elseCases.map(({ value, evaluated }) => ({ value: values.and(negated, value), evaluated })),
        ]);
      } else if ((keyword === 'dependentSchemas' || keyword === 'dependencies') && isObject(argument)) {
        for (const [name, inner] of argument) {
          if (Array.isArray(inner)) continue;
          dependency(this.#reader, place, keyword, name, inner);
          const matched = this.cases(at(inner, keyword, name), within);
          if (matched.every(({ evaluated }) => isNothing(evaluated))) continue;
          const present = values.required(name);
          combine([
            ...matched.map(({ value, evaluated }) => ({ value: values.and(present, value), evaluated })),
            { ...none, value: values.forbidden(name) },
          ]);
        }
      }
    }
    return cases;
  }

  /** The cases of a subschema, each with all that the subschema asks. */
  #matched(place: Place, open: ReadonlySet<Json>): Case[] {
    const { values } = this.#reader;
    const set = values.place(place);
    return this.cases(place, open).map(({ value, evaluated }) => ({ value: values.and(set, value), evaluated }));
  }

  /** What the keywords of one schema evaluate, those that apply other schemas in the same place left out. */
  #own(place: Place, schema: JsonObject, outermost: boolean): Evaluated {
    const reader = this.#reader;
    const names = new Set(reader.entries(place, schema, 'properties').map(([name]) => name));
    const patterns = new Set(
      reader
        .entries(place, schema, 'patternProperties')
        .map(([source]) => reader.pattern(place, source, 'patternProperties', source)),
    );
    const { prefix, rest } = itemSchemas(place, schema);
    const allItems = rest.schema !== undefined || (!outermost && schema.has('unevaluatedItems'));
    const contains = schema.get('contains');
    return {
      names,
      patterns,
      allMembers: schema.has('additionalProperties') || (!outermost && schema.has('unevaluatedProperties')),
      items: allItems ? Number.POSITIVE_INFINITY : prefix.list.length,
      containing: contains === undefined ? [] : [reader.subschema(place, contains, 'contains')],
    };
  }
}

/** Every case of one list with every case of another. */
function product(values: Values, list: readonly Case[], more: readonly Case[]): Case[] {
  return list
    .flatMap((a) =>
      more.map((b) => ({ value: values.and(a.value, b.value), evaluated: join(a.evaluated, b.evaluated) })),
    )
    .filter(({ value }) => value !== values.none);
}

function join(a: Evaluated, b: Evaluated): Evaluated {
  return {
    names: new Set([...a.names, ...b.names]),
    patterns: new Set([...a.patterns, ...b.patterns]),
    allMembers: a.allMembers || b.allMembers,
    items: Math.max(a.items, b.items),
    containing: [...a.containing, ...b.containing],
  };
}

function isNothing({ names, patterns, allMembers, items, containing }: Evaluated): boolean {
  return names.size === 0 && patterns.size === 0 && !allMembers && items === 0 && containing.length === 0;
}
