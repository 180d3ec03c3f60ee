/** JSON Schema (drafts 7, 2019-09 and 2020-12, with the spellings of draft 4) to grammar nodes. */

import { GrammarError } from '../errors.ts';
import { concat, literal, type Node, optional, type Regex, text } from '../ir.ts';
import { Budget } from '../limits.ts';
import { parseRegex } from '../regex.ts';
import { isSliced } from '../slices.ts';
import { SchemaDocument } from './document.ts';
import { fromParsed, parseJson } from './json-text.ts';
import { Lowering, type Punctuation } from './lowering.ts';
import { SchemaReader } from './reader.ts';
import { type Value, Values } from './values.ts';

export interface JsonSchemaOptions {
  /**
   * A regular expression for what may stand between the tokens of a value; it is matched once in each gap, and the empty
   * text may always stand there if the pattern takes it. Without one: nothing, a space, or one or two line ends and up to
   * 120 spaces or tabs. Before the first and after the last character of the value nothing may stand.
   */
  readonly whitespacePattern?: string;
}

/**
 * The JSON texts of the values that a schema describes. Members come in the order in which the schema names them, others
 * behind them; declared names are written once.
 *
 * @param schema a schema as text (which keeps the order of names like `"1"`), or parsed
 * @throws GrammarError when the schema is malformed, describes nothing, or holds what is not supported; the error names the
 *   keyword's place
 */
export function jsonSchemaNode(schema: unknown, options: JsonSchemaOptions = {}, budget = schemaBudget()): Node {
  return new SchemaCompilation(schema, options, budget).node();
}

/** A schema on the way to its node. */
export class SchemaCompilation {
  readonly #root: Value;
  readonly #reader: SchemaReader;
  readonly #lowering: Lowering;

  /** @throws GrammarError when the schema is not JSON, or the whitespace pattern no pattern */
  constructor(schema: unknown, { whitespacePattern }: JsonSchemaOptions = {}, budget = schemaBudget()) {
    const document = new SchemaDocument(typeof schema === 'string' ? parseJson(schema) : fromParsed(schema));
    const values = new Values(budget);
    const gaps = whitespacePattern === undefined ? usualPunctuation : punctuate(readWhitespace(whitespacePattern));
    this.#reader = new SchemaReader(values, document, (a, b) => this.#lowering.areDisjoint(a, b));
    this.#lowering = new Lowering(values, this.#reader, gaps, budget);
    this.#root = values.place(document.root);
  }

  /**
   * May be called again after it was preempted: what was found is kept.
   * @throws GrammarError as {@link jsonSchemaNode}
   */
  node(): Node {
    this.#reader.readAll();
    if (!this.#lowering.satisfiable(this.#root)) throw new GrammarError('#: no value satisfies the schema');
    if (this.#lowering.values.asksForUnique) this.#lowering.checkUniqueItems(this.#root);
    return this.#lowering.node(this.#root);
  }
}

/** The JSON texts of all objects. */
export function jsonObjectNode(options: JsonSchemaOptions = {}): Node {
  return jsonSchemaNode({ type: 'object' }, options);
}

/** For one schema, or for several together. */
export function schemaBudget(): Budget {
  const budget = new Budget();
  // What is begun again after each slice costs some of the work again.
  budget.refill(isSliced() ? 3 * SCHEMA_FUEL : SCHEMA_FUEL);
  return budget;
}

/** What a schema may cost before a text is written: formulas, searches for a value, states of regular expressions. */
const SCHEMA_FUEL = 400_000;

const WHITESPACE = '(?:[ ]|[\\r]?\\n(?:[\\r]?\\n)?[ \\t]{0,120})?';

function readWhitespace(source: string): Regex {
  try {
    return parseRegex(source, { match: 'whole' });
  } catch (error) {
    throw new GrammarError(`whitespacePattern: ${(error as Error).message}`);
  }
}

function punctuate(gap: Regex): Punctuation {
  const before = (token: string) => text(concat(gap, literal(token)));
  const behind = (token: string) => text(concat(literal(token), gap));
  return {
    openObject: behind('{'),
    openArray: behind('['),
    colon: text(concat(gap, literal(':'), gap)),
    comma: text(concat(gap, literal(','), gap)),
    closeObject: before('}'),
    closeArray: before(']'),
    emptyObject: text(literal('}')),
    emptyArray: text(literal(']')),
  };
}

const usualPunctuation = punctuate(optional(readWhitespace(WHITESPACE)));
