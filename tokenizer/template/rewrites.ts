/**
 * Rewrites what the parser of `@huggingface/jinja` does not know into what it does: tests with arguments, `with`, and
 * parentheses that hold nothing or end in a comma.
 */

import type { Token } from './lexer.ts';
import { fail } from './values.ts';

/** Names of filters that no template can write. */
export const SCOPE_FILTER = '(scope)';
export const TUPLE_FILTER = '(tuple)';

const PIPE: Token = { type: 'Pipe', value: '|' };
const OPEN_BRACKET: Token = { type: 'OpenSquareBracket', value: '[' };
const CLOSE_BRACKET: Token = { type: 'CloseSquareBracket', value: ']' };

/** @param tokens  one whole tag, from its opening to its closing token */
export function rewriteTag(tokens: readonly Token[]): Token[] {
  return testsAsFilters(shortTuples(withAsFor(tokens)));
}

/** `{% with a = x, b = y %}` becomes `{% for a, b in [[x, y]] | (scope) %}`, a filter name that only the interpreter knows. */
function withAsFor(tokens: readonly Token[]): readonly Token[] {
  const [opening, { type, value }] = tokens;
  if (opening.type !== 'OpenStatement' || type !== 'Identifier') return tokens;
  if (value === 'endwith') return [opening, word('endfor'), ...tokens.slice(2)];
  if (value !== 'with') return tokens;
  const names: Token[] = [];
  const values: Token[] = [];
  for (let at = 2; at < tokens.length - 1; ) {
    const name = tokens[at];
    if (name.type !== 'Identifier' || tokens[at + 1]?.type !== 'Equals') fail("has a 'with' that is not name = value");
    let end = at + 2;
    while (end < tokens.length - 1 && tokens[end].type !== 'Comma') end = groupEnd(tokens, end);
    const comma: Token[] = names.length > 0 ? [{ type: 'Comma', value: ',' }] : [];
    names.push(...comma, name);
    values.push(...comma, ...tokens.slice(at + 2, end));
    at = end + 1;
  }
  const isOne = names.length === 1;
  const row = isOne ? values : [OPEN_BRACKET, ...values, CLOSE_BRACKET];
  return [
    opening,
    word('for'),
    ...(names.length > 0 ? names : [word('with')]),
    word('in'),
    OPEN_BRACKET,
    ...row,
    CLOSE_BRACKET,
    PIPE,
    word(SCOPE_FILTER),
    tokens[tokens.length - 1],
  ];
}

/** `()` and `(x,)` become `([] | (tuple))` and `([x] | (tuple))`; `(x, y,)` loses its last comma. */
function shortTuples(tokens: readonly Token[]): readonly Token[] {
  const rewritten: Token[] = [];
  /** Open brackets: where they stand in `rewritten`, and how many commas are right inside. */
  const open: { at: number; opensTuple: boolean; commas: number }[] = [];
  for (const [i, token] of tokens.entries()) {
    const inside = open.at(-1);
    if (token.type === 'Comma' && inside) {
      inside.commas++;
      if (inside.opensTuple && tokens[i + 1]?.type === 'CloseParen') continue;
    }
    if (isOpening(token)) {
      open.push({ at: rewritten.length, opensTuple: token.type === 'OpenParen' && !isCall(tokens[i - 1]), commas: 0 });
    } else if (isClosing(token) && inside) {
      open.pop();
      const isEmpty = rewritten.length === inside.at + 1;
      const hasOne = inside.commas === 1 && tokens[i - 1].type === 'Comma';
      if (inside.opensTuple && (isEmpty || hasOne)) {
        rewritten.splice(inside.at + 1, 0, OPEN_BRACKET);
        rewritten.push(CLOSE_BRACKET, PIPE, word(TUPLE_FILTER));
      }
    }
    rewritten.push(token);
  }
  return rewritten;
}

/** Whether a parenthesis after this token holds the arguments of a call. */
function isCall({ type, value }: Token): boolean {
  return (type === 'Identifier' && !KEYWORDS.has(value)) || type === 'CloseParen' || type === 'CloseSquareBracket';
}

function isOpening({ type }: Token): boolean {
  return type === 'OpenParen' || type === 'OpenSquareBracket' || type === 'OpenCurlyBracket';
}

function isClosing({ type }: Token): boolean {
  return type === 'CloseParen' || type === 'CloseSquareBracket' || type === 'CloseCurlyBracket';
}

/** Words after which a parenthesis opens a value, not the arguments of a call. */
const KEYWORDS: ReadonlySet<string> = new Set(['in', 'not', 'and', 'or', 'if', 'else', 'elif', 'is']);

function word(value: string): Token {
  return { type: 'Identifier', value };
}

const NOT_AN_ARGUMENT: ReadonlySet<string> = new Set(['else', 'or', 'and', 'is', 'if', 'not', 'in']);

/** `x is test arg` becomes a filter named `is test`, which no template can write: the parser knows no arguments of tests. */
function testsAsFilters(tokens: readonly Token[]): Token[] {
  const rewritten: Token[] = [];
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at];
    if (token.type !== 'Identifier' || token.value !== 'is' || tokens[at - 1]?.type === 'Dot') {
      rewritten.push(token);
      continue;
    }
    const negated = tokens[at + 1]?.type === 'Identifier' && tokens[at + 1].value === 'not';
    if (negated) at++;
    const name = tokens[++at];
    if (name?.type !== 'Identifier') fail("has an 'is' without the name of a test");
    rewritten.push(PIPE, { type: 'Identifier', value: `is ${negated ? 'not ' : ''}${name.value}` });
    const end = argumentEnd(tokens, at + 1);
    if (end > at + 1) {
      const argument = testsAsFilters(tokens.slice(at + 1, end));
      rewritten.push({ type: 'OpenParen', value: '(' }, ...argument, { type: 'CloseParen', value: ')' });
      at = end - 1;
    }
  }
  return rewritten;
}

/** Where the bare argument of a test ends; `start` when there is none, or when it stands in parentheses. */
function argumentEnd(tokens: readonly Token[], start: number): number {
  const { type, value } = tokens[start] ?? {};
  const isPrimary =
    type === 'StringLiteral' ||
    type === 'NumericLiteral' ||
    type === 'OpenSquareBracket' ||
    type === 'OpenCurlyBracket' ||
    (type === 'Identifier' && !NOT_AN_ARGUMENT.has(value ?? ''));
  if (!isPrimary) return start;
  let end = groupEnd(tokens, start);
  for (;;) {
    const next = tokens[end]?.type;
    if (next === 'Dot') end += 2;
    else if (next === 'OpenSquareBracket' || next === 'OpenParen') end = groupEnd(tokens, end);
    else return Math.min(end, tokens.length);
  }
}

/** The end of a token, or of all that the bracket opens. */
function groupEnd(tokens: readonly Token[], start: number): number {
  let depth = 0;
  for (let at = start; at < tokens.length; at++) {
    if (isOpening(tokens[at])) depth++;
    if (isClosing(tokens[at])) depth--;
    if (depth <= 0) return at + 1;
  }
  return tokens.length;
}
