/**
 * Cuts a Jinja template into the tokens that the parser of `@huggingface/jinja` reads. The package has a lexer of its
 * own, but it strips white space by replacing text beforehand, which goes wrong for `+%}`, for tags inside of strings
 * and for text that is not plain ASCII; here, white space follows Jinja's own rules with `trim_blocks` and
 * `lstrip_blocks`, and strings follow Python's.
 * Source: Jinja 3.1, "Whitespace Control".
 */

import { rewriteTag } from './rewrites.ts';
import { fail } from './values.ts';

export interface Token {
  value: string;
  type: TokenType;
}

export type TokenType =
  | 'Text'
  | 'NumericLiteral'
  | 'StringLiteral'
  | 'Identifier'
  | 'Equals'
  | 'OpenParen'
  | 'CloseParen'
  | 'OpenStatement'
  | 'CloseStatement'
  | 'OpenExpression'
  | 'CloseExpression'
  | 'OpenSquareBracket'
  | 'CloseSquareBracket'
  | 'OpenCurlyBracket'
  | 'CloseCurlyBracket'
  | 'Comma'
  | 'Dot'
  | 'Colon'
  | 'Pipe'
  | 'AdditiveBinaryOperator'
  | 'MultiplicativeBinaryOperator'
  | 'ExponentiationBinaryOperator'
  | 'ComparisonBinaryOperator';

const OPERATORS: ReadonlyMap<string, TokenType> = new Map([
  ['**', 'ExponentiationBinaryOperator'],
  ['//', 'MultiplicativeBinaryOperator'],
  ['<=', 'ComparisonBinaryOperator'],
  ['>=', 'ComparisonBinaryOperator'],
  ['==', 'ComparisonBinaryOperator'],
  ['!=', 'ComparisonBinaryOperator'],
  ['<', 'ComparisonBinaryOperator'],
  ['>', 'ComparisonBinaryOperator'],
  ['+', 'AdditiveBinaryOperator'],
  ['-', 'AdditiveBinaryOperator'],
  ['~', 'AdditiveBinaryOperator'],
  ['*', 'MultiplicativeBinaryOperator'],
  ['/', 'MultiplicativeBinaryOperator'],
  ['%', 'MultiplicativeBinaryOperator'],
  ['=', 'Equals'],
  ['(', 'OpenParen'],
  [')', 'CloseParen'],
  ['[', 'OpenSquareBracket'],
  [']', 'CloseSquareBracket'],
  ['{', 'OpenCurlyBracket'],
  ['}', 'CloseCurlyBracket'],
  [',', 'Comma'],
  ['.', 'Dot'],
  [':', 'Colon'],
  ['|', 'Pipe'],
]);

/** What Python counts as white space. */
export const SPACE = '[\\t-\\r\\x1C-\\x20\\x85\\xA0\\u1680\\u2000-\\u200A\\u2028\\u2029\\u202F\\u205F\\u3000]';

const MAX_BRACKETS = 200;

const TAG_START = /\{([%{#])([-+]?)/g;
const RAW_START = new RegExp(`\\{%[-+]?${SPACE}*raw${SPACE}*(?:-%\\}${SPACE}*|%\\})`, 'y');
const RAW_END = new RegExp(`\\{%([-+]?)${SPACE}*endraw${SPACE}*(?:\\+%\\}|-%\\}${SPACE}*|%\\}\\n?)`, 'g');
const COMMENT_END = new RegExp(`\\+#\\}|-#\\}${SPACE}*|#\\}\\n?`, 'g');
const BLOCK_END = new RegExp(`\\+%\\}|-%\\}${SPACE}*|%\\}\\n?`, 'y');
const EXPRESSION_END = new RegExp(`-\\}\\}${SPACE}*|\\}\\}`, 'y');
const BLANKS = new RegExp(`${SPACE}+`, 'y');
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{M}\p{N}\p{Pc}]*/uy;
const NUMBER = /0[xX][\dA-Fa-f_]+|0[oO][0-7_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][-+]?\d[\d_]*)?/y;
const STRING = /'((?:[^'\\]|\\[\s\S])*)'|"((?:[^"\\]|\\[\s\S])*)"/y;

/** @throws TokenizerError for a tag that does not end or a character that no expression has */
export function tokenize(source: string): Token[] {
  return new Lexer(source).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  /** True where a line begins, or where a trimmed line feed was just before. */
  #atLineStart = true;

  constructor(source: string) {
    this.#source = source.replace(/\r\n?/g, '\n').replace(/\n$/, '');
  }

  run(): Token[] {
    while (this.#at < this.#source.length) {
      TAG_START.lastIndex = this.#at;
      const tag = TAG_START.exec(this.#source);
      if (!tag) {
        this.#push('Text', this.#source.slice(this.#at));
        break;
      }
      this.#text(tag.index, tag[2], tag[1] !== '{');
      this.#at = tag.index;
      if (tag[1] === '#') this.#comment(tag[0].length);
      else if (tag[1] === '{') this.#tag('Expression', tag[0].length);
      else if (!this.#raw()) this.#tag('Statement', tag[0].length);
      this.#atLineStart = this.#source[this.#at - 1] === '\n';
    }
    return this.#tokens;
  }

  /** The text up to a tag, without the white space that the tag takes away. */
  #text(end: number, sign: string, isBlock: boolean): void {
    let text = this.#source.slice(this.#at, end);
    if (sign === '-') {
      text = trimEnd(text);
    } else if (sign !== '+' && isBlock) {
      const lineStart = text.lastIndexOf('\n') + 1;
      if ((lineStart > 0 || this.#atLineStart) && isBlank(text.slice(lineStart))) text = text.slice(0, lineStart);
    }
    if (text !== '') this.#push('Text', text);
  }

  #comment(opening: number): void {
    COMMENT_END.lastIndex = this.#at + opening;
    const end = COMMENT_END.exec(this.#source);
    if (!end) fail('a comment lacks its #}');
    this.#at = COMMENT_END.lastIndex;
  }

  /** `{% raw %}` … `{% endraw %}`: everything between is text. */
  #raw(): boolean {
    RAW_START.lastIndex = this.#at;
    if (!RAW_START.test(this.#source)) return false;
    this.#at = RAW_END.lastIndex = RAW_START.lastIndex;
    const end = RAW_END.exec(this.#source);
    if (!end) fail('{% raw %} lacks its {% endraw %}');
    this.#atLineStart = false;
    this.#text(end.index, end[1], true);
    this.#at = RAW_END.lastIndex;
    return true;
  }

  #tag(kind: 'Statement' | 'Expression', opening: number): void {
    const closing = kind === 'Statement' ? BLOCK_END : EXPRESSION_END;
    const first = this.#tokens.length;
    this.#push(`Open${kind}`, kind === 'Statement' ? '{%' : '{{');
    this.#at += opening;
    let depth = 0;
    for (;;) {
      this.#match(BLANKS);
      if (this.#at >= this.#source.length) fail(`a tag lacks its ${kind === 'Statement' ? '%}' : '}}'}`);
      if (depth === 0 && this.#match(closing) !== undefined) break;
      const { type } = this.#expressionToken();
      if (type === 'OpenParen' || type === 'OpenSquareBracket' || type === 'OpenCurlyBracket') depth++;
      if (depth > MAX_BRACKETS) fail(`has more than ${MAX_BRACKETS} brackets within each other`);
      if (type === 'CloseParen' || type === 'CloseSquareBracket' || type === 'CloseCurlyBracket') depth--;
    }
    this.#push(`Close${kind}`, kind === 'Statement' ? '%}' : '}}');
    const inside = this.#tokens.splice(first);
    // `{% generation %}` marks what an assistant wrote, for training; it renders nothing itself.
    if (inside.length === 3 && /^(?:end)?generation$/.test(inside[1].value)) return;
    for (const token of rewriteTag(inside)) this.#tokens.push(token);
  }

  #expressionToken(): Token {
    const string = this.#match(STRING);
    if (string !== undefined) return this.#push('StringLiteral', unescapeString(string.slice(1, -1)));
    const name = this.#match(NAME);
    if (name !== undefined) return this.#push('Identifier', name);
    const number = this.#match(NUMBER);
    if (number !== undefined) return this.#push('NumericLiteral', plainNumber(number));
    for (const length of [2, 1]) {
      const operator = this.#source.slice(this.#at, this.#at + length);
      const type = OPERATORS.get(operator);
      if (type === undefined) continue;
      this.#at += length;
      return this.#push(type, operator);
    }
    return fail(`has the unexpected character ${JSON.stringify(this.#source[this.#at])} in a tag`);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (found) this.#at = pattern.lastIndex;
    return found?.[0];
  }

  #push(type: TokenType, value: string): Token {
    const token = { type, value };
    this.#tokens.push(token);
    return token;
  }
}

const BLANK_LINE = new RegExp(`^${SPACE}+$`);
const SPACE_UNIT = new RegExp(SPACE);

function isBlank(text: string): boolean {
  return BLANK_LINE.test(text);
}

function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE_UNIT.test(text[end - 1])) end--;
  return text.slice(0, end);
}

/** A floating point number is told by its point, so one is put into `1e5`. */
function plainNumber(written: string): string {
  const digits = written.replaceAll('_', '');
  return /^\d+[eE]/.test(digits) ? digits.replace(/[eE]/, '.0e') : digits;
}

const STRING_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['\n', ''],
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);

/** Python's escapes; a backslash before any other character stays. */
function unescapeString(body: string): string {
  return body.replace(
    /\\(?:x([\dA-Fa-f]{2})|u([\dA-Fa-f]{4})|U(00(?:0[\dA-Fa-f]|10)[\dA-Fa-f]{4})|([0-7]{1,3})|([\s\S]))/g,
    (written, x?: string, u?: string, wide?: string, octal?: string, char?: string) => {
      const hex = x ?? u ?? wide;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8));
      return STRING_ESCAPES.get(char ?? '') ?? written;
    },
  );
}
