/** Texts of grammars to grammars, for one vocabulary. */

import { ebnfNode } from './ebnf.ts';
import { GrammarError } from './errors.ts';
import { literals, type Node, text } from './ir.ts';
import { type JsonSchemaOptions, jsonObjectNode, SchemaCompilation } from './json-schema/index.ts';
import { bounded, COMPILE_FUEL, MAX_SOURCE_LENGTH } from './limits.ts';
import { CompiledGrammar } from './matcher.ts';
import { parseRegex } from './regex.ts';
import { atOnce, isSliced, Preempted } from './slices.ts';
import { structuralTagNode } from './structural-tags/index.ts';
import { Tables } from './tables.ts';
import { Vocabulary, type VocabularyOptions } from './vocabulary.ts';

/** Compiled grammars that are kept by their text, and the configurations that they may have in all. */
const MAX_CACHED = 256;
const MAX_CACHED_CONFIGURATIONS = 100_000;

/** Compiles under way at once (older ones begin anew), and errors that are kept. */
const MAX_UNFINISHED = 16;
const MAX_REFUSED = 64;

interface Unfinished {
  readonly parse: () => Node;
  grammar: CompiledGrammar | undefined;
}

export class GrammarCompiler {
  readonly #vocabulary: Vocabulary;
  #tables: Tables;
  readonly #cache = new Map<string, CompiledGrammar>();
  /** Compiles that were preempted, and errors of those in slices: whoever compiled ahead asks again for the result. */
  readonly #unfinished = new Map<string, Unfinished>();
  readonly #refused = new Map<string, GrammarError>();

  /** @throws GrammarError when an end token is not in the vocabulary */
  constructor(options: VocabularyOptions) {
    this.#vocabulary = new Vocabulary(options);
    this.#tables = new Tables(this.#vocabulary);
    this.#tables.prepare();
  }

  /**
   * The JSON texts of the values that a schema describes, as `jsonSchemaNode` makes them.
   * @param schema as text (which keeps the order of names like `"1"`), or parsed
   * @throws GrammarError when the schema is malformed, describes nothing, or holds what is not supported
   */
  jsonSchema(schema: unknown, options: JsonSchemaOptions = {}): CompiledGrammar {
    const key = bounded(() => JSON.stringify([options.whitespacePattern ?? null, schema]));
    return this.#compile('json schema', key, () => {
      const compilation = new SchemaCompilation(schema, options);
      return () => compilation.node();
    });
  }

  /** The JSON texts of all objects. */
  jsonObject(options: JsonSchemaOptions = {}): CompiledGrammar {
    return this.#compileWhole('json object', options.whitespacePattern ?? '', () => jsonObjectNode(options));
  }

  /**
   * The texts that a regular expression matches as a whole.
   * @throws GrammarError when it is malformed, not regular, or matches nothing
   */
  regex(source: string): CompiledGrammar {
    return this.#compileWhole('regex', source, () => text(parseRegex(source, { match: 'whole' })));
  }

  /**
   * One of some texts.
   * @throws GrammarError when there are none
   */
  choice(texts: readonly string[]): CompiledGrammar {
    const bad = texts.findIndex((item) => typeof item !== 'string' || !item.isWellFormed());
    if (bad >= 0) throw new GrammarError(`choice[${bad}]: expected a text without lone surrogates`);
    if (texts.length === 0) throw new GrammarError('choice: expected at least one text');
    return this.#compileWhole('choice', JSON.stringify(texts), () => text(literals(texts)));
  }

  /**
   * The texts of a context-free grammar: GBNF (`root ::= …`) or Lark's notation (`start: …`).
   * @throws GrammarError when it is malformed, uses what is not supported, or has no text
   */
  ebnf(source: string): CompiledGrammar {
    return this.#compileWhole('ebnf', source, () => ebnfNode(source));
  }

  /**
   * Text that is free until a trigger, and held to a format from there on, as `structuralTagNode` reads it.
   * @param spec a structural tag's JSON, as text or parsed
   * @param options for the schemas in it
   * @throws GrammarError when it is malformed, or uses what is not supported
   */
  structuralTag(spec: unknown, options: JsonSchemaOptions = {}): CompiledGrammar {
    const key = bounded(() => JSON.stringify([options.whitespacePattern ?? null, spec]));
    return this.#compileWhole('structural tag', key, () => structuralTagNode(parsed(spec), options));
  }

  #compileWhole(kind: string, source: string, parse: () => Node): CompiledGrammar {
    return this.#compile(kind, source, () => {
      const node = atOnce(parse);
      return () => node;
    });
  }

  /** @param begin what is done once; its answer is called again after each slice, and finds what was done kept */
  #compile(kind: string, source: string, begin: () => () => Node): CompiledGrammar {
    if (source.length > MAX_SOURCE_LENGTH) {
      throw new GrammarError(`${kind}: expected at most ${MAX_SOURCE_LENGTH} characters, found ${source.length}`);
    }
    const key = `${kind}:${source}`;
    let grammar = this.#cache.get(key);
    if (grammar) this.#cache.delete(key);
    else {
      if (!isSliced() && this.#refused.has(key)) throw this.#refused.get(key);
      grammar = this.#make(key, begin);
      this.#dropOldest();
    }
    this.#cache.set(key, grammar);
    return grammar;
  }

  #make(key: string, begin: () => () => Node): CompiledGrammar {
    this.#freshTables().budget.refill(COMPILE_FUEL);
    try {
      return bounded(() => {
        let unfinished = this.#unfinished.get(key);
        if (!unfinished) this.#unfinished.set(key, (unfinished = { parse: begin(), grammar: undefined }));
        unfinished.grammar ??= new CompiledGrammar(unfinished.parse(), () => this.#freshTables());
        unfinished.grammar.begin();
        this.#unfinished.delete(key);
        return unfinished.grammar;
      });
    } catch (error) {
      if (error instanceof Preempted) {
        keepNewest(this.#unfinished, MAX_UNFINISHED);
        throw error;
      }
      this.#unfinished.delete(key);
      if (isSliced() && error instanceof GrammarError) {
        this.#refused.set(key, error);
        keepNewest(this.#refused, MAX_REFUSED);
      }
      throw error;
    }
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

function keepNewest(map: Map<string, unknown>, most: number): void {
  for (const key of map.keys()) {
    if (map.size <= most) return;
    map.delete(key);
  }
}

function parsed(spec: unknown): unknown {
  if (typeof spec !== 'string') return spec;
  try {
    return JSON.parse(spec);
  } catch (error) {
    throw new GrammarError(`structural_tag: expected JSON: ${(error as Error).message}`);
  }
}
