/** From the keywords of a schema to the set of values that it describes. */

import { GrammarError } from '../errors.ts';
import { either, literal, literals, type Regex } from '../ir.ts';
import { parseRegex } from '../regex.ts';
import { readArrayKeywords } from './array-keywords.ts';
import { hidesSiblings, type Place, pointerTo, quote, type SchemaDocument } from './document.ts';
import { isDecimal, isObject, type Json, type JsonObject } from './json-text.ts';
import { readNumberKeywords } from './number-keywords.ts';
import { digitCount, exactly, wholeNumbers } from './number-languages.ts';
import { readObjectKeywords } from './object-keywords.ts';
import { readStringKeywords } from './string-keywords.ts';
import { readUnevaluated } from './unevaluated.ts';
import { ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, type Value, type Values } from './values.ts';

const TYPES: Readonly<Record<string, number>> = {
  null: NULL,
  boolean: TRUE | FALSE,
  number: NUMBER,
  integer: NUMBER,
  string: STRING,
  array: ARRAY,
  object: OBJECT,
};

/** Vocabularies of 2020-12 and 2019-09 that are known by the end of their name. */
const VOCABULARY =
  /\/(core|applicator|unevaluated|validation|meta-data|format|format-annotation|format-assertion|content)$/;

const integers = { regex: wholeNumbers, digits: 0, integers: true };

/** Above this no text can count, so a greater maximum is none. */
const MAX_COUNT = 2_147_483_647n;

/** Most branches of one `oneOf` that are compared with each other; when there are more, each excludes all others. */
const MAX_COMPARED = 64;

export class SchemaReader {
  readonly values: Values;
  readonly document: SchemaDocument;
  readonly #patterns = new Map<string, Regex>();
  readonly #read = new Map<Json, Map<string, Value>>();
  /** Tells whether two sets have no value in common; false when that is not known. */
  readonly areDisjoint: (a: Value, b: Value) => boolean;

  constructor(values: Values, document: SchemaDocument, areDisjoint: (a: Value, b: Value) => boolean) {
    this.values = values;
    this.document = document;
    this.areDisjoint = areDisjoint;
  }

  /** The set of values of a subschema, its own subschemas not looked into. */
  read(place: Place): Value {
    let byBase = this.#read.get(place.schema);
    if (!byBase) this.#read.set(place.schema, (byBase = new Map()));
    let value = byBase.get(place.base);
    if (!value) byBase.set(place.base, (value = this.#readKeywords(place)));
    return value;
  }

  /** The subschema at a keyword, not looked into. */
  subschema(place: Place, schema: Json, ...keys: readonly (string | number)[]): Value {
    if (typeof schema !== 'boolean' && !isObject(schema)) this.fail(place, keys, schema, 'a schema');
    return this.values.place(this.document.child(place, schema, ...keys));
  }

  /** @throws GrammarError that names the keyword's place, what stands there and what should */
  fail(place: Place, keys: readonly (string | number)[], found: Json, expected: string): never {
    const shown = typeof found === 'string' ? quote(found) : describe(found);
    throw new GrammarError(`${pointerTo(place.pointer, keys)}: found ${shown}, expected ${expected}`);
  }

  /** Checks all subschemas that a text could get to. */
  readAll(): void {
    const seen = new Set<Value>();
    const open = [this.values.place(this.document.root)];
    for (let value = open.pop(); value; value = open.pop()) {
      if (seen.has(value)) continue;
      seen.add(value);
      const { shape } = value;
      if (shape.kind === 'place') open.push(this.read(shape.place));
      else if (shape.kind === 'and' || shape.kind === 'or') open.push(...shape.parts);
      else if (shape.kind === 'items' || shape.kind === 'someItem') open.push(...shape.prefix, shape.rest);
      else if (shape.kind === 'contains') open.push(shape.value);
      else if (shape.kind === 'names' || shape.kind === 'someName') open.push(shape.names);
      else if (shape.kind === 'members' || shape.kind === 'someMember') {
        const { properties, patterns, others } = shape.table;
        open.push(others);
        for (const property of properties.values()) open.push(property);
        for (const [, pattern] of patterns) open.push(pattern);
      }
    }
  }

  #readKeywords(place: Place): Value {
    const { values } = this;
    const { schema } = place;
    if (typeof schema === 'boolean') return schema ? values.all : values.none;
    if (!isObject(schema)) throw new GrammarError(`${place.pointer}: found ${describe(schema)}, expected a schema`);
    if (hidesSiblings(place.draft) && schema.has('$ref')) return this.#reference(place, schema.get('$ref')!);

    const parts: Value[] = [];
    let objectsRead = false;
    let arraysRead = false;
    for (const [keyword, argument] of schema) {
      switch (keyword) {
        case '$ref':
          parts.push(this.#reference(place, argument));
          break;
        case '$dynamicRef':
        case '$recursiveRef':
          parts.push(this.#dynamicReference(place, keyword, argument));
          break;
        case '$vocabulary':
          this.#checkVocabularies(place, argument);
          break;
        case 'type':
          parts.push(this.#types(place, argument));
          break;
        case 'enum':
          if (!Array.isArray(argument)) this.fail(place, [keyword], argument, 'a list of values');
          parts.push(this.anyOfConstants(argument));
          break;
        case 'const':
          parts.push(this.anyOfConstants([argument]));
          break;
        case 'allOf':
          parts.push(...this.branches(place, keyword, argument));
          break;
        case 'anyOf':
          parts.push(values.or(...this.branches(place, keyword, argument)));
          break;
        case 'oneOf':
          parts.push(this.exactlyOne(this.branches(place, keyword, argument)));
          break;
        case 'not':
          parts.push(values.not(this.subschema(place, argument, keyword)));
          break;
        case 'if':
          parts.push(this.#conditional(place, schema, argument));
          break;
        case 'items':
        case 'prefixItems':
        case 'additionalItems':
        case 'contains':
        case 'minItems':
        case 'maxItems':
        case 'uniqueItems':
          if (!arraysRead) parts.push(...readArrayKeywords(this, place, schema));
          arraysRead = true;
          break;
        case 'properties':
        case 'patternProperties':
        case 'additionalProperties':
        case 'propertyNames':
        case 'minProperties':
        case 'maxProperties':
        case 'dependentRequired':
        case 'dependentSchemas':
        case 'dependencies':
          if (!objectsRead) parts.push(...readObjectKeywords(this, place, schema));
          objectsRead = true;
          break;
      }
    }
    if (schema.has('required')) parts.push(...this.#required(place, schema.get('required')!));
    parts.push(...readStringKeywords(this, place, schema), ...readNumberKeywords(this, place, schema));
    const unevaluated = schema.has('unevaluatedItems') || schema.has('unevaluatedProperties');
    return values.and(...parts, ...(unevaluated ? [readUnevaluated(this, place, schema)] : []));
  }

  /** The branches of `allOf`, `anyOf` or `oneOf`. */
  branches(place: Place, keyword: string, argument: Json): Value[] {
    if (!Array.isArray(argument) || argument.length === 0) this.fail(place, [keyword], argument, 'a list of schemas');
    return argument.map((branch, i) => this.subschema(place, branch, keyword, i));
  }

  /** The values that are in exactly one of the sets. */
  exactlyOne(sets: readonly Value[]): Value {
    const { values } = this;
    const overlapping: Value[][] = sets.map(() => []);
    sets.forEach((set, i) => {
      for (let j = 0; j < i; j++) {
        if (sets.length <= MAX_COMPARED && this.areDisjoint(set, sets[j])) continue;
        overlapping[i].push(values.not(sets[j]));
        overlapping[j].push(values.not(set));
      }
    });
    return values.or(...sets.map((set, i) => values.and(set, ...overlapping[i])));
  }

  /** The values of `enum` and `const`. */
  anyOfConstants(constants: readonly Json[]): Value {
    const { values } = this;
    const strings: string[] = [];
    const numbers: Regex[] = [];
    const others: Value[] = [];
    let digits = 0;
    let mask = 0;
    for (const constant of constants) {
      if (constant === null) mask |= NULL;
      else if (typeof constant === 'boolean') mask |= constant ? TRUE : FALSE;
      else if (typeof constant === 'string') strings.push(constant);
      else if (isDecimal(constant)) {
        numbers.push(exactly(constant));
        digits = Math.max(digits, digitCount(constant));
      } else if (Array.isArray(constant)) others.push(this.#constantArray(constant));
      else others.push(this.#constantObject(constant));
    }
    const parts = [...others];
    if (mask !== 0) parts.push(values.types(mask));
    if (strings.length > 0) {
      const regex = strings.length === 1 ? literal(strings[0]) : literals([...new Set(strings)]);
      parts.push(values.and(values.types(STRING), values.string(regex)));
    }
    if (numbers.length > 0) {
      const set = values.number({ regex: either(...numbers), digits, integers: false });
      parts.push(values.and(values.types(NUMBER), set));
    }
    return values.or(...parts);
  }

  #constantArray(constant: readonly Json[]): Value {
    const { values } = this;
    const items = constant.map((item) => this.anyOfConstants([item]));
    return values.and(
      values.types(ARRAY),
      values.items(items, values.none),
      values.count(ARRAY, items.length, items.length),
    );
  }

  #constantObject(constant: JsonObject): Value {
    const { values } = this;
    const properties = new Map([...constant].map(([name, value]) => [name, this.anyOfConstants([value])] as const));
    return values.and(
      values.types(OBJECT),
      values.members({ properties, patterns: [], others: values.none }),
      ...[...constant.keys()].map((name) => values.required(name)),
    );
  }

  #types(place: Place, argument: Json): Value {
    const { values } = this;
    const names = Array.isArray(argument) ? argument : [argument];
    let mask = 0;
    for (const name of names) {
      if (name === 'any' && place.draft !== '2020-12') return values.all;
      const bits = typeof name === 'string' && Object.hasOwn(TYPES, name) ? TYPES[name] : undefined;
      if (bits === undefined) this.fail(place, ['type'], name, `one of ${Object.keys(TYPES).join(', ')}`);
      mask |= bits;
    }
    const types = values.types(mask);
    return names.includes('integer') && !names.includes('number') ? values.and(types, values.number(integers)) : types;
  }

  #required(place: Place, argument: Json): Value[] {
    return this.names(place, argument, 'required').map((name) => this.values.required(name));
  }

  /** A list of property names. */
  names(place: Place, argument: Json, ...keys: readonly string[]): string[] {
    if (!Array.isArray(argument) || !argument.every((name) => typeof name === 'string')) {
      this.fail(place, keys, argument, 'a list of property names');
    }
    return argument as string[];
  }

  /** The members of an object of schemas (or lists); none when the keyword is absent. */
  entries(place: Place, schema: JsonObject, keyword: string): [string, Json][] {
    const argument = schema.get(keyword);
    if (argument === undefined) return [];
    if (!isObject(argument)) this.fail(place, [keyword], argument, 'an object');
    return [...argument];
  }

  /** A count of characters, items or members; undefined when the keyword is absent. */
  count(place: Place, schema: JsonObject, keyword: string): number | undefined {
    const argument = schema.get(keyword);
    if (argument === undefined) return undefined;
    if (!isDecimal(argument) || argument.scale > 0 || argument.units < 0n) {
      this.fail(place, [keyword], argument, 'a whole number from 0');
    }
    if (argument.units <= MAX_COUNT) return Number(argument.units);
    if (keyword.startsWith('max')) return Number.POSITIVE_INFINITY;
    return this.fail(place, [keyword], argument, `at most ${MAX_COUNT}`);
  }

  /** The strings in which a regular expression of ECMA-262 finds something. */
  pattern(place: Place, source: string, ...keys: readonly string[]): Regex {
    const known = this.#patterns.get(source);
    if (known) return known;
    try {
      const regex = parseRegex(source, { match: 'search' });
      this.#patterns.set(source, regex);
      return regex;
    } catch (error) {
      throw new GrammarError(`${pointerTo(place.pointer, keys)}: ${(error as Error).message}`);
    }
  }

  #conditional(place: Place, schema: JsonObject, argument: Json): Value {
    const { values } = this;
    const condition = this.subschema(place, argument, 'if');
    const branch = (keyword: string) => {
      const inner = schema.get(keyword);
      return inner === undefined ? values.all : this.subschema(place, inner, keyword);
    };
    const [then, otherwise] = [branch('then'), branch('else')];
    if (then === values.all && otherwise === values.all) return values.all;
    return values.or(values.and(condition, then), values.and(values.not(condition), otherwise));
  }

  /** The place that a reference keyword names. */
  target(place: Place, keyword: string, argument: Json): Place {
    if (typeof argument !== 'string') this.fail(place, [keyword], argument, 'a URI');
    return this.document.resolve(argument, place, keyword);
  }

  #reference(place: Place, argument: Json): Value {
    return this.values.place(this.target(place, '$ref', argument));
  }

  /** A dynamic reference is followed where the whole document leaves it only one meaning. */
  dynamicTarget(place: Place, keyword: string, argument: Json): Place {
    const target = this.target(place, keyword, argument);
    if (keyword === '$recursiveRef') {
      if (isObject(target.schema) && target.schema.get('$recursiveAnchor') === true) {
        this.fail(place, [keyword], argument, 'a target without $recursiveAnchor (which is not supported)');
      }
      return target;
    }
    const name = isObject(target.schema) ? target.schema.get('$dynamicAnchor') : undefined;
    const fragment = String(argument).split('#')[1];
    if (typeof name !== 'string' || name !== fragment) return target;
    if (this.document.dynamicAnchors(name).length === 1) return target;
    this.fail(
      place,
      [keyword],
      argument,
      'a $dynamicAnchor that stands only once in the schema (overriding is not supported)',
    );
  }

  #dynamicReference(place: Place, keyword: string, argument: Json): Value {
    return this.values.place(this.dynamicTarget(place, keyword, argument));
  }

  #checkVocabularies(place: Place, argument: Json): void {
    if (!isObject(argument)) this.fail(place, ['$vocabulary'], argument, 'an object');
    for (const [uri, needed] of argument) {
      if (needed === true && !VOCABULARY.test(uri)) this.fail(place, ['$vocabulary'], uri, 'a known vocabulary');
    }
  }
}

/** A value in a few words. */
function describe(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (isDecimal(value)) return 'a number';
  if (typeof value === 'string') return quote(value);
  return Array.isArray(value) ? (value.length === 0 ? 'an empty list' : 'a list') : 'an object';
}
