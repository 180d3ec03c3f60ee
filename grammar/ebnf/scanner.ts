/** A place in an EBNF text, and what all dialects read alike. */

import { GrammarError } from '../errors.ts';
import { MAX_NESTING } from '../limits.ts';
import { choiceOf, type Expression, sequenceOf } from './rules.ts';

/** The largest bound of a repetition. */
const MAX_REPEAT = 2 ** 31 - 1;

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', b: '\b', '0': '\0' };

export abstract class Scanner {
  protected readonly source: string;
  protected at = 0;
  #depth = 0;

  constructor(source: string) {
    this.source = source;
  }

  protected error(problem: string): GrammarError {
    const line = this.source.slice(0, this.at).split('\n').length;
    return new GrammarError(`ebnf: ${problem} in line ${line}`);
  }

  /** Skips white space and comments. */
  protected abstract skip(): void;
  /** One item without its quantifier; undefined where no item begins. */
  protected abstract item(): Expression | undefined;
  /** What stands behind a sequence, as an alias. */
  protected abstract sequenceEnd(): void;

  protected peek(text: string): boolean {
    return this.source.startsWith(text, this.at);
  }

  protected take(text: string): boolean {
    if (!this.peek(text)) return false;
    this.at += text.length;
    return true;
  }

  /** What a sticky expression matches here. */
  protected match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source);
    if (found) this.at += found[0].length;
    return found;
  }

  protected ahead(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    return pattern.test(this.source);
  }

  /** Sequences between bars. */
  protected choice(): Expression {
    if (++this.#depth > MAX_NESTING) throw this.error(`groups nested more than ${MAX_NESTING} deep`);
    const parts: Expression[] = [];
    do parts.push(this.#sequence());
    while (this.take('|'));
    this.#depth--;
    return choiceOf(parts);
  }

  /** A choice up to a closing bracket. */
  protected group(close: string): Expression {
    const inner = this.choice();
    if (!this.take(close)) throw this.error(`missing "${close}"`);
    return inner;
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    for (this.skip(); ; this.skip()) {
      const item = this.item();
      if (!item) break;
      parts.push(this.#quantified(item));
    }
    this.sequenceEnd();
    this.skip();
    return sequenceOf(parts);
  }

  #quantified(item: Expression): Expression {
    const bounds = this.#bounds();
    if (!bounds) return item;
    const [min, max] = bounds;
    if (min > max) throw this.error(`the bounds of a repetition, ${min} and ${max}, are out of order`);
    if (min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) {
      throw this.error(`a repetition of more than ${MAX_REPEAT} times`);
    }
    return { kind: 'repeat', body: item, min, max };
  }

  #bounds(): [min: number, max: number] | undefined {
    if (this.take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.take('?')) return [0, 1];
    const braces = this.match(/\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}/y);
    if (braces && (braces[1] || braces[3])) {
      const min = Number(braces[1]);
      return [min, !braces[2] ? min : braces[3] ? Number(braces[3]) : Number.POSITIVE_INFINITY];
    }
    const tilde = this.match(/[ \t]*~[ \t]*(\d+)(?:[ \t]*\.\.[ \t]*(\d+))?/y);
    return tilde ? [Number(tilde[1]), Number(tilde[2] ?? tilde[1])] : undefined;
  }

  /** The rest of a literal, its opening quote being read. */
  protected quoted(quote: string): string {
    let text = '';
    while (!this.take(quote)) {
      if (this.at >= this.source.length || this.peek('\n')) throw this.error(`missing ${quote}`);
      text += this.character();
    }
    if (!text.isWellFormed()) throw this.error('a lone surrogate in a literal');
    return text;
  }

  /** One character, or the one that an escape stands for. */
  protected character(): string {
    if (!this.take('\\')) {
      const char = String.fromCodePoint(this.source.codePointAt(this.at)!);
      this.at += char.length;
      return char;
    }
    const code = this.match(/x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\}|U([0-9a-fA-F]{8})/y);
    if (code) {
      const value = Number.parseInt(code[1] ?? code[2] ?? code[3] ?? code[4], 16);
      if (value > 0x10ffff) throw this.error('a code point above U+10FFFF');
      return String.fromCodePoint(value);
    }
    if (this.at >= this.source.length) throw this.error('a backslash at the end');
    const char = String.fromCodePoint(this.source.codePointAt(this.at)!);
    this.at += char.length;
    if (Object.hasOwn(ESCAPES, char)) return ESCAPES[char];
    if (/[\p{L}\p{N}]/u.test(char)) throw this.error(`unknown escape "\\${char}"`);
    return char;
  }
}
