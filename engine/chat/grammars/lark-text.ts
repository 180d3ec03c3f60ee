/** Writing grammars in Lark's notation, as `quern/grammar` reads it. */

/** The rules of a grammar as they are added. */
export class LarkText {
  readonly #rules: string[] = [];

  /** Adds a rule and gives its name. */
  rule(expression: string): string {
    const name = `r${this.#rules.length}`;
    this.#rules.push(`${name}: ${expression}`);
    return name;
  }

  /** The whole grammar. */
  text(start: string): string {
    return [`start: ${start}`, ...this.#rules].join('\n');
  }
}

/** Exactly this text. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** One of some expressions. */
export function anyOf(expressions: readonly string[]): string {
  return `(${expressions.join(' | ')})`;
}

/** A value's JSON by its schema. */
export function json(schema: unknown): string {
  return `%json ${JSON.stringify(schema)}`;
}

export interface Item {
  readonly expression: string;
  /** It may be left out. */
  readonly isOptional: boolean;
}

/** Items in their order with separators between them, those that are optional there or not. */
export function listOf(lark: LarkText, items: readonly Item[], separator: string): string {
  // From the last item on: what may come from here on after another item, and what as the first of all.
  let more = quote('');
  let first = quote('');
  for (const { expression, isOptional } of items.toReversed()) {
    const item = lark.rule(expression);
    const begun = `${item} ${more}`;
    first = lark.rule(isOptional ? anyOf([begun, first]) : begun);
    more = lark.rule(isOptional ? anyOf([`${separator} ${begun}`, more]) : `${separator} ${begun}`);
  }
  return first;
}
