/** GBNF, the notation of llama.cpp: `root ::= "yes" | [0-9]+`. */

import { anyChar, charSet, charsOf, invertCharSet, literal } from '../ir.ts';
import type { Expression, Rules } from './rules.ts';
import { Scanner } from './scanner.ts';

const RULE_NAME = /[A-Za-z_][A-Za-z0-9_-]*/y;
const RULE_START = /[A-Za-z_][A-Za-z0-9_-]*\s*::=/y;

/** @throws GrammarError when the text is malformed */
export function readGbnf(source: string): Rules {
  return new GbnfReader(source).read();
}

class GbnfReader extends Scanner {
  read(): Rules {
    const rules = new Map<string, Expression>();
    for (this.skip(); this.at < this.source.length; this.skip()) {
      const name = this.match(RULE_NAME)?.[0];
      this.skip();
      if (!name || !this.take('::=')) throw this.error('expected a rule: name ::= …');
      if (rules.has(name)) throw this.error(`the rule "${name}" is there twice`);
      rules.set(name, this.choice());
    }
    return { start: 'root', rules };
  }

  protected skip(): void {
    this.match(/(?:\s|#[^\n]*)*/y);
  }

  protected sequenceEnd(): void {}

  protected item(): Expression | undefined {
    if (this.take('"')) return { kind: 'regex', regex: literal(this.quoted('"')) };
    if (this.take('[')) return this.#class();
    if (this.take('.')) return { kind: 'regex', regex: anyChar };
    if (this.take('(')) {
      if (this.peek('=')) throw this.error('look-ahead is not supported');
      return this.group(')');
    }
    if (this.peek('<') || this.peek('!<')) throw this.error('tokens by id or text are not supported');
    if (this.ahead(RULE_START)) return undefined;
    const name = this.match(RULE_NAME)?.[0];
    if (name) return { kind: 'rule', name };
    if (this.at < this.source.length && !this.peek('|') && !this.peek(')')) {
      throw this.error(`unexpected "${this.source[this.at]}"`);
    }
    return undefined;
  }

  #class(): Expression {
    const negated = this.take('^');
    const ranges: [number, number][] = [];
    while (!this.take(']')) {
      if (this.at >= this.source.length) throw this.error('missing "]"');
      const low = this.character().codePointAt(0)!;
      let high = low;
      if (this.peek('-') && this.source[this.at + 1] !== ']') {
        this.at++;
        if (this.at >= this.source.length) throw this.error('missing "]"');
        high = this.character().codePointAt(0)!;
        if (high < low) throw this.error('a range that is out of order');
      }
      ranges.push([low, high]);
    }
    const set = charSet(ranges);
    return { kind: 'regex', regex: charsOf(negated ? invertCharSet(set) : set) };
  }
}
