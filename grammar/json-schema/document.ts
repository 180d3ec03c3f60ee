/** A schema document: its subschemas by URI, anchor and JSON pointer (JSON Schema Core 2020-12, sections 8 and 9). */

import { GrammarError } from '../errors.ts';
import { isObject, type Json, type JsonObject } from './json-text.ts';

/** The drafts that differ in how a schema is read; `none` when the schema names none, which reads all spellings. */
export type Draft = 'draft-4' | 'draft-7' | '2019-09' | '2020-12' | 'none';

/** One subschema: where it stands, and against which URI its references are resolved. */
export interface Place {
  readonly schema: Json;
  /** JSON pointer from the root of the document, as a URI fragment. */
  readonly pointer: string;
  readonly base: string;
  readonly draft: Draft;
}

/** Keywords whose value is a schema. */
const SCHEMA_KEYWORDS = [
  'additionalItems',
  'additionalProperties',
  'contains',
  'contentSchema',
  'else',
  'if',
  'items',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
];
/** Keywords whose value is a list of schemas. */
const LIST_KEYWORDS = ['allOf', 'anyOf', 'items', 'oneOf', 'prefixItems'];
/** Keywords whose value is an object of schemas. */
const MAP_KEYWORDS = ['$defs', 'definitions', 'dependencies', 'dependentSchemas', 'patternProperties', 'properties'];

const NO_BASE = 'quern:/schema';

export class SchemaDocument {
  readonly root: Place;
  readonly #places = new Map<string, Place>();
  readonly #bySchema = new Map<JsonObject, Place>();
  readonly #dynamicAnchors = new Map<string, Place[]>();

  constructor(schema: Json) {
    this.root = { schema, pointer: '#', base: NO_BASE, draft: draftOf(schema, 'none') };
    this.#places.set(NO_BASE, this.root);
    this.#walk(this.root);
    if (isObject(schema)) this.root = this.#bySchema.get(schema)!;
  }

  /** The subschema at `key` (and `inner`) of another. */
  child(place: Place, schema: Json, ...keys: readonly (string | number)[]): Place {
    const known = isObject(schema) ? this.#bySchema.get(schema) : undefined;
    return known ?? { ...place, schema, pointer: pointerTo(place.pointer, keys) };
  }

  /**
   * What a `$ref` means.
   * @throws GrammarError when it is not in the document
   */
  resolve(reference: string, from: Place, keyword: string): Place {
    const uri = resolveUri(from.base, reference);
    const [document, fragment = ''] = splitFragment(uri);
    const exact = this.#places.get(fragment === '' ? document : `${document}#${fragment}`);
    if (exact) return exact;
    const base = this.#places.get(document);
    if (!base) {
      throw new GrammarError(
        `${from.pointer}/${keyword}: ${quote(reference)} is outside the schema: only references within it are followed`,
      );
    }
    const decoded = decodeFragment(fragment);
    if (decoded === undefined || !decoded.startsWith('/')) {
      throw new GrammarError(`${from.pointer}/${keyword}: ${quote(reference)} names nothing in the schema`);
    }
    let place: Place = base;
    let value: Json | undefined = base.schema;
    for (const token of decoded.slice(1).split('/')) {
      const key = token.replaceAll('~1', '/').replaceAll('~0', '~');
      if (isObject(value)) value = value.get(key);
      else if (Array.isArray(value)) value = /^(0|[1-9][0-9]*)$/.test(key) ? value[Number(key)] : undefined;
      else value = undefined;
      if (value === undefined) {
        throw new GrammarError(`${from.pointer}/${keyword}: ${quote(reference)} names nothing in the schema`);
      }
      const pointer = pointerTo(place.pointer, [key]);
      place = (isObject(value) && this.#bySchema.get(value)) || { ...place, schema: value, pointer };
    }
    return place;
  }

  /** The subschemas with a `$dynamicAnchor` of this name. */
  dynamicAnchors(name: string): readonly Place[] {
    return this.#dynamicAnchors.get(name) ?? [];
  }

  /** Notes the URIs and anchors of a schema and of all below it. */
  #walk(place: Place): void {
    const { schema } = place;
    if (!isObject(schema)) return;
    const draft = draftOf(schema, place.draft);
    let { base } = place;
    const hidden = hidesSiblings(draft) && schema.has('$ref');
    const id = schema.get(draft === 'draft-4' ? 'id' : '$id');
    if (typeof id === 'string' && !hidden && id !== '') {
      const uri = resolveUri(base, id);
      const [document, fragment = ''] = splitFragment(uri);
      if (fragment === '') base = document;
      else this.#note(uri, { ...place, base, draft });
    }
    const here: Place = { ...place, base, draft };
    this.#bySchema.set(schema, here);
    if (base !== place.base) this.#note(base, here);
    if (place.pointer === '#') {
      this.#places.set(NO_BASE, here);
    }
    for (const keyword of ['$anchor', '$dynamicAnchor']) {
      const anchor = schema.get(keyword);
      if (typeof anchor !== 'string') continue;
      this.#note(`${base}#${anchor}`, here);
      if (keyword === '$anchor') continue;
      this.#dynamicAnchors.set(anchor, [...(this.#dynamicAnchors.get(anchor) ?? []), here]);
    }
    for (const keyword of SCHEMA_KEYWORDS) {
      const inner = schema.get(keyword);
      if (isObject(inner)) this.#walk({ ...here, schema: inner, pointer: pointerTo(here.pointer, [keyword]) });
    }
    for (const keyword of LIST_KEYWORDS) {
      const list = schema.get(keyword);
      if (!Array.isArray(list)) continue;
      list.forEach((inner, i) => {
        this.#walk({ ...here, schema: inner, pointer: pointerTo(here.pointer, [keyword, i]) });
      });
    }
    for (const keyword of MAP_KEYWORDS) {
      const map = schema.get(keyword);
      if (!isObject(map)) continue;
      for (const [key, inner] of map) {
        this.#walk({ ...here, schema: inner, pointer: pointerTo(here.pointer, [keyword, key]) });
      }
    }
  }

  #note(uri: string, place: Place): void {
    if (!this.#places.has(uri)) this.#places.set(uri, place);
  }
}

/** True for the drafts in which a `$ref` hides the keywords beside it. */
export function hidesSiblings(draft: Draft): boolean {
  return draft === 'draft-4' || draft === 'draft-7';
}

/** A JSON pointer with more steps. */
export function pointerTo(pointer: string, keys: readonly (string | number)[]): string {
  return keys.reduce<string>(
    (path, key) => `${path}/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`,
    pointer,
  );
}

/** A text for an error message, cut when it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function draftOf(schema: Json, otherwise: Draft): Draft {
  const uri = isObject(schema) ? schema.get('$schema') : undefined;
  if (typeof uri !== 'string') return otherwise;
  if (/draft-0[34]/.test(uri)) return 'draft-4';
  if (/draft-0[67]/.test(uri)) return 'draft-7';
  if (uri.includes('2019-09')) return '2019-09';
  return uri.includes('2020-12') ? '2020-12' : otherwise;
}

function resolveUri(base: string, reference: string): string {
  if (reference.startsWith('#')) return `${base}${reference}`;
  try {
    return new URL(reference, base).href;
  } catch {
    return reference;
  }
}

function splitFragment(uri: string): [string, string?] {
  const at = uri.indexOf('#');
  return at < 0 ? [uri] : [uri.slice(0, at), uri.slice(at + 1)];
}

function decodeFragment(fragment: string): string | undefined {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return undefined;
  }
}
