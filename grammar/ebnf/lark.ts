/**
 * The notation of Lark: `start: "yes" | NUMBER`, terminals in capitals, `%import common.…`, `%ignore`. The language is that of
 * the rules as a context-free grammar: no lexer decides between terminals, so their priorities have no meaning.
 * As in llguidance's dialect, `%json {…}` stands for the JSON texts of a schema.
 */

import { GrammarError } from '../errors.ts';
import { chars, literal, type Node, type Regex } from '../ir.ts';
import { jsonSchemaNode, schemaBudget } from '../json-schema/index.ts';
import { parseRegex } from '../regex.ts';
import { choiceOf, type Expression, type Rules, sequenceOf } from './rules.ts';
import { Scanner } from './scanner.ts';

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const RULE_START = /[?!]*[A-Za-z_][A-Za-z0-9_]*(?:\.-?\d+)?\s*:/y;

/** The terminals of Lark's `common` library. */
const COMMON: Readonly<Record<string, string>> = {
  DIGIT: '[0-9]',
  HEXDIGIT: '[0-9A-Fa-f]',
  INT: '[0-9]+',
  SIGNED_INT: '[+-]?[0-9]+',
  DECIMAL: '[0-9]+\\.[0-9]*|\\.[0-9]+',
  FLOAT: '[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  SIGNED_FLOAT: '[+-]?(?:[0-9]+[eE][+-]?[0-9]+|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)',
  NUMBER: '[0-9]+(?:[eE][+-]?[0-9]+)?|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?',
  SIGNED_NUMBER: '[+-]?(?:[0-9]+(?:[eE][+-]?[0-9]+)?|(?:[0-9]+\\.[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?)',
  ESCAPED_STRING: '"(?:[^"\\\\\\n]|\\\\[^\\n])*"',
  LCASE_LETTER: '[a-z]',
  UCASE_LETTER: '[A-Z]',
  LETTER: '[A-Za-z]',
  WORD: '[A-Za-z]+',
  CNAME: '[A-Za-z_][A-Za-z0-9_]*',
  WS_INLINE: '[ \\t]+',
  WS: '[ \\t\\f\\r\\n]+',
  CR: '\\r',
  LF: '\\n',
  NEWLINE: '(?:\\r?\\n)+',
  SH_COMMENT: '#[^\\n]*',
  CPP_COMMENT: '//[^\\n]*',
  SQL_COMMENT: '--[^\\n]*',
  C_COMMENT: '/\\*(?:[^*]|\\*+[^*/])*\\*+/',
};

/** @throws GrammarError when the text is malformed, or uses what is not supported */
export function readLark(source: string): Rules {
  return new LarkReader(source).read();
}

class LarkReader extends Scanner {
  readonly #rules = new Map<string, Expression>();
  readonly #ignored: Expression[] = [];
  /** What all schemas in the text may cost together. */
  readonly #budget = schemaBudget();

  read(): Rules {
    for (this.skip(); this.at < this.source.length; this.skip()) {
      if (this.take('%')) this.#directive();
      else this.#rule();
    }
    if (this.#ignored.length > 0) this.#addIgnored();
    return { start: 'start', rules: this.#rules };
  }

  #rule(): void {
    const head = this.match(/[?!]*([A-Za-z_][A-Za-z0-9_]*)(?:\.-?\d+)?\s*/y);
    if (head && this.peek('{')) throw this.error('rule templates are not supported');
    if (!head || !this.take(':')) throw this.error('expected a rule: name: …');
    this.#define(head[1], this.choice());
  }

  #define(name: string, expression: Expression): void {
    if (this.#rules.has(name)) throw this.error(`the rule "${name}" is there twice`);
    this.#rules.set(name, expression);
  }

  #directive(): void {
    const name = this.match(NAME)?.[0];
    this.skip();
    if (name === 'ignore') this.#ignored.push(this.choice());
    else if (name === 'import') this.#import();
    else throw this.error(`%${name ?? ''} is not supported`);
  }

  #import(): void {
    const one = this.match(/common\.([A-Z_]+)(?:[ \t]*->[ \t]*([A-Za-z_][A-Za-z0-9_]*))?/y);
    const several = one ? null : this.match(/common[ \t]*\(([A-Z_,\s]*)\)/y);
    if (!one && !several) throw this.error('%import: expected a terminal of "common"');
    const names = one ? [one[1]] : several![1].split(',').map((name) => name.trim());
    for (const name of names) {
      if (!Object.hasOwn(COMMON, name)) throw this.error(`%import: unknown terminal common.${name}`);
      this.#define(one?.[2] ?? name, { kind: 'regex', regex: parseRegex(COMMON[name], { match: 'whole' }) });
    }
  }

  /** What is ignored may stand before the first terminal and behind each. */
  #addIgnored(): void {
    const gap: Expression = {
      kind: 'repeat',
      body: choiceOf(this.#ignored),
      min: 0,
      max: Number.POSITIVE_INFINITY,
    };
    const spaced = (expression: Expression): Expression => {
      switch (expression.kind) {
        case 'regex':
        case 'node':
          return sequenceOf([expression, gap]);
        case 'rule':
          return isTerminalName(expression.name) ? sequenceOf([expression, gap]) : expression;
        case 'repeat':
          return { ...expression, body: spaced(expression.body) };
        default:
          return { ...expression, parts: expression.parts.map(spaced) };
      }
    };
    for (const [name, expression] of this.#rules) {
      if (!isTerminalName(name)) this.#rules.set(name, spaced(expression));
    }
    const start = this.#rules.get('start');
    if (start) this.#rules.set('start', sequenceOf([gap, start]));
  }

  protected skip(): void {
    this.match(/(?:\s|\/\/[^\n]*|#[^\n]*)*/y);
  }

  protected sequenceEnd(): void {
    if (this.match(/->\s*[A-Za-z_][A-Za-z0-9_]*/y)) this.skip();
  }

  protected item(): Expression | undefined {
    if (this.peek('"')) return { kind: 'regex', regex: this.#string() };
    if (this.peek('/')) return { kind: 'regex', regex: this.#regex() };
    if (this.take('(')) return this.group(')');
    if (this.take('[')) return { kind: 'repeat', body: this.group(']'), min: 0, max: 1 };
    if (this.peek('<')) throw this.error('special tokens are not supported');
    if (this.match(/%json\s*/y)) return { kind: 'node', node: this.#json() };
    if (this.ahead(RULE_START)) return undefined;
    const name = this.match(NAME)?.[0];
    if (name && this.peek('{') && !this.ahead(/\{\s*\d*\s*,?\s*\d*\s*\}/y)) {
      throw this.error('rule templates are not supported');
    }
    if (name) return { kind: 'rule', name };
    if (this.at < this.source.length && !['|', ')', ']', '->', '%'].some((end) => this.peek(end))) {
      throw this.error(`unexpected "${this.source[this.at]}"`);
    }
    return undefined;
  }

  /** `"text"`, `"text"i` or `"a".."z"`. */
  #string(): Regex {
    this.at++;
    const text = this.quoted('"');
    if (this.match(/\s*\.\.\s*"/y)) {
      const last = this.quoted('"');
      const [low, high] = [text.codePointAt(0) ?? -1, last.codePointAt(0) ?? -1];
      if ([...text].length !== 1 || [...last].length !== 1 || high < low)
        throw this.error('a range of other than two characters');
      return chars([low, high]);
    }
    if (!this.match(/i(?![A-Za-z0-9_])/y)) return literal(text);
    const escaped = text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
    return parseRegex(escaped, { match: 'whole', ignoreCase: true });
  }

  /** The schema reaches as far as its brackets do. */
  #json(): Node {
    const begin = this.at;
    let depth = 0;
    do {
      const found = this.match(/[^{}[\]"]*(?:([{[])|([}\]])|"(?:[^"\\]|\\[\s\S])*")/y);
      if (!found) throw this.error('%json: expected a JSON Schema between braces');
      if (found[1]) depth++;
      if (found[2]) depth--;
    } while (depth > 0);
    const schema = this.source.slice(begin, this.at);
    try {
      return jsonSchemaNode(schema, {}, this.#budget);
    } catch (error) {
      if (error instanceof GrammarError) throw this.error(`%json: ${error.message}`);
      throw error;
    }
  }

  #regex(): Regex {
    const found = this.match(/\/((?:[^/\\\n]|\\.)+)\/([a-z]*)/y);
    if (!found) throw this.error('missing "/"');
    const [, pattern, flags] = found;
    if (/[^isu]/.test(flags)) throw this.error(`the flags "${flags}" of a regular expression are not supported`);
    return parseRegex(pattern, { match: 'whole', ignoreCase: flags.includes('i'), dotAll: flags.includes('s') });
  }
}

function isTerminalName(name: string): boolean {
  return /^_*[A-Z]/.test(name);
}
