/** Texts of grammars to grammars, for one vocabulary. */

import { ebnfNode } from './ebnf.ts';
import { GrammarError } from './errors.ts';
import { literals, type Node, text } from './ir.ts';
import { type JsonSchemaOptions, jsonObjectNode, jsonSchemaNode } from './json-schema/index.ts';
import { bounded, COMPILE_FUEL, MAX_SOURCE_LENGTH } from './limits.ts';
import { CompiledGrammar } from './matcher.ts';
import { parseRegex } from './regex.ts';
import { Tables } from './tables.ts';
import { Vocabulary, type VocabularyOptions } from './vocabulary.ts';

/** Compiled grammars that are kept by their text, and the configurations that they may have in all. */
const MAX_CACHED = 256;
const MAX_CACHED_CONFIGURATIONS = 100_000;

export class GrammarCompiler {
  readonly #vocabulary: Vocabulary;
  #tables: Tables;
  readonly #cache = new Map<string, CompiledGrammar>();

  /** @throws GrammarError when an end token is not in the vocabulary */
  constructor(options: VocabularyOptions) {
    this.#vocabulary = new Vocabulary(options);
    this.#tables = new Tables(this.#vocabulary);
    this.#tables.prepare();
  }

  /**
   * The JSON texts of the values that a schema describes, as {@link jsonSchemaNode} makes them.
   * @param schema as text (which keeps the order of names like `"1"`), or parsed
   * @throws GrammarError when the schema is malformed, describes nothing, or holds what is not supported
   */
  jsonSchema(schema: unknown, options: JsonSchemaOptions = {}): CompiledGrammar {
    const key = bounded(() => JSON.stringify([options.whitespacePattern ?? null, schema]));
    return this.#compile('json schema', key, () => jsonSchemaNode(schema, options));
  }

  /** The JSON texts of all objects. */
  jsonObject(options: JsonSchemaOptions = {}): CompiledGrammar {
    return this.#compile('json object', options.whitespacePattern ?? '', () => jsonObjectNode(options));
  }

  /**
   * The texts that a regular expression matches as a whole.
   * @throws GrammarError when it is malformed, not regular, or matches nothing
   */
  regex(source: string): CompiledGrammar {
    return this.#compile('regex', source, () => text(parseRegex(source, { match: 'whole' })));
  }

  /**
   * One of some texts.
   * @throws GrammarError when there are none
   */
  choice(texts: readonly string[]): CompiledGrammar {
    const bad = texts.findIndex((item) => typeof item !== 'string' || !item.isWellFormed());
    if (bad >= 0) throw new GrammarError(`choice[${bad}]: expected a text without lone surrogates`);
    if (texts.length === 0) throw new GrammarError('choice: expected at least one text');
    return this.#compile('choice', JSON.stringify(texts), () => text(literals(texts)));
  }

  /**
   * The texts of a context-free grammar: GBNF (`root ::= …`) or Lark's notation (`start: …`).
   * @throws GrammarError when it is malformed, uses what is not supported, or has no text
   */
  ebnf(source: string): CompiledGrammar {
    return this.#compile('ebnf', source, () => ebnfNode(source));
  }

  #compile(kind: string, source: string, parse: () => Node): CompiledGrammar {
    if (source.length > MAX_SOURCE_LENGTH) {
      throw new GrammarError(`${kind}: expected at most ${MAX_SOURCE_LENGTH} characters, found ${source.length}`);
    }
    const key = `${kind}:${source}`;
    let grammar = this.#cache.get(key);
    if (grammar) this.#cache.delete(key);
    else {
      this.#freshTables().budget.refill(COMPILE_FUEL);
      grammar = bounded(() => new CompiledGrammar(parse(), () => this.#freshTables()));
      this.#dropOldest();
    }
    this.#cache.set(key, grammar);
    return grammar;
  }

  #dropOldest(): void {
    let size = 0;
    for (const { configurations } of this.#cache.values()) size += configurations;
    for (const [key, { configurations }] of this.#cache) {
      if (this.#cache.size < MAX_CACHED && size <= MAX_CACHED_CONFIGURATIONS) break;
      this.#cache.delete(key);
      size -= configurations;
    }
  }

  /** The tables, or others when they are full. Grammars stay with theirs; those of tables before the full ones are dropped. */
  #freshTables(): Tables {
    if (this.#tables.full) {
      for (const [key, { tables }] of this.#cache) if (tables !== this.#tables) this.#cache.delete(key);
      this.#tables = new Tables(this.#vocabulary);
      this.#tables.prepare();
    }
    return this.#tables;
  }
}
