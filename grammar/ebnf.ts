/** EBNF texts to grammar nodes: GBNF when rules are written with `::=`, Lark's notation when with `:`. */

import { readGbnf } from './ebnf/gbnf.ts';
import { readLark } from './ebnf/lark.ts';
import { withoutLeftRecursion } from './ebnf/left-recursion.ts';
import { type Expression, hasNode, mentionedRules, type Rules } from './ebnf/rules.ts';
import { GrammarError } from './errors.ts';
import {
  choice,
  concat,
  either,
  empty,
  type Node,
  type Regex,
  reference,
  repeat,
  repeatNode,
  sequence,
  text,
} from './ir.ts';

/** More rules than any grammar written by people has. */
const MAX_RULES = 5_000;

/**
 * The texts of a grammar's start rule: `root` in GBNF, `start` in Lark's notation.
 * @throws GrammarError when the text is malformed, or uses what is not supported
 */
export function ebnfNode(source: string): Node {
  const isGbnf = /^\s*(?:#[^\n]*\n\s*)*[A-Za-z_][\w-]*\s*::=/.test(source);
  const { start, rules } = isGbnf ? readGbnf(source) : readLark(source);
  checkRules({ start, rules });
  const nullable = nullableParts(rules);
  return new Lowering(withoutLeftRecursion(rules, nullable)).rule(start);
}

function checkRules({ start, rules }: Rules): void {
  if (!rules.has(start)) throw new GrammarError(`ebnf: expected a rule "${start}"`);
  if (rules.size > MAX_RULES) throw new GrammarError(`ebnf: expected at most ${MAX_RULES} rules, found ${rules.size}`);
  for (const [name, expression] of rules) {
    for (const other of mentionedRules(expression)) {
      if (!rules.has(other))
        throw new GrammarError(`ebnf: the rule "${name}" mentions "${other}", which is not defined`);
    }
  }
}

/** Rules that do not recur become regular terminals, as long as they can be; the others stay rules. */
class Lowering {
  readonly #rules: ReadonlyMap<string, Expression>;
  /** Rules that lead back to themselves, or to what is not regular. */
  readonly #irregular: ReadonlySet<string>;
  readonly #nodes = new Map<string, Node>();
  readonly #regexes = new Map<string, Regex>();

  constructor(rules: ReadonlyMap<string, Expression>) {
    this.#rules = rules;
    this.#irregular = irregularRules(rules);
  }

  rule(name: string): Node {
    let node = this.#nodes.get(name);
    if (!node) {
      node = this.#irregular.has(name)
        ? reference(name, () => this.#node(this.#rules.get(name)!))
        : text(this.#ruleRegex(name));
      this.#nodes.set(name, node);
    }
    return node;
  }

  #ruleRegex(name: string): Regex {
    let regex = this.#regexes.get(name);
    if (!regex) this.#regexes.set(name, (regex = this.#regex(this.#rules.get(name)!)));
    return regex;
  }

  #isRegular(expression: Expression): boolean {
    if (hasNode(expression)) return false;
    for (const name of mentionedRules(expression)) if (this.#irregular.has(name)) return false;
    return true;
  }

  #node(expression: Expression): Node {
    if (this.#isRegular(expression)) return text(this.#regex(expression));
    switch (expression.kind) {
      case 'rule':
        return this.rule(expression.name);
      case 'sequence':
        return sequence(...this.#folded(expression.parts));
      case 'choice': {
        const regular = expression.parts.filter((part) => this.#isRegular(part));
        const others = expression.parts.filter((part) => !this.#isRegular(part)).map((part) => this.#node(part));
        if (regular.length > 0) others.push(text(either(...regular.map((part) => this.#regex(part)))));
        return choice(...others);
      }
      case 'repeat':
        return repeatNode(this.#node(expression.body), expression.min, expression.max);
      case 'regex':
        return text(expression.regex);
      case 'node':
        return expression.node;
    }
  }

  /** Neighbours that are regular, as one terminal. */
  #folded(parts: readonly Expression[]): Node[] {
    const nodes: Node[] = [];
    let run: Regex[] = [];
    for (const part of parts) {
      if (this.#isRegular(part)) {
        run.push(this.#regex(part));
        continue;
      }
      if (run.length > 0) nodes.push(text(concat(...run)));
      run = [];
      nodes.push(this.#node(part));
    }
    if (run.length > 0) nodes.push(text(concat(...run)));
    return nodes;
  }

  #regex(expression: Expression): Regex {
    switch (expression.kind) {
      case 'regex':
        return expression.regex;
      case 'rule':
        return this.#ruleRegex(expression.name);
      case 'sequence':
        return expression.parts.length === 0 ? empty : concat(...expression.parts.map((part) => this.#regex(part)));
      case 'choice':
        return either(...expression.parts.map((part) => this.#regex(part)));
      case 'repeat':
        return repeat(this.#regex(expression.body), expression.min, expression.max);
      case 'node':
        throw new Error('a node is no regular expression');
    }
  }
}

/** The rules from which a rule leads back to itself, those that hold a node, and those that mention such a one. */
function irregularRules(rules: ReadonlyMap<string, Expression>): Set<string> {
  const regular = new Set<string>();
  // A rule is regular when all that it mentions is; those that never become so lead back to themselves.
  const waiting = new Map([...rules].map(([name, expression]) => [name, new Set(mentionedRules(expression))]));
  const users = new Map<string, string[]>();
  for (const [name, mentioned] of waiting) {
    for (const other of mentioned) users.set(other, [...(users.get(other) ?? []), name]);
  }
  for (const [name, expression] of rules) if (hasNode(expression)) waiting.get(name)!.add(NEVER);
  const ready = [...rules.keys()].filter((name) => waiting.get(name)!.size === 0);
  while (ready.length > 0) {
    const name = ready.pop()!;
    regular.add(name);
    for (const user of users.get(name) ?? []) {
      const open = waiting.get(user)!;
      open.delete(name);
      if (open.size === 0) ready.push(user);
    }
  }
  return new Set([...rules.keys()].filter((name) => !regular.has(name)));
}

/** The name of no rule. */
const NEVER = '';

/** Which expressions derive the empty text. */
function nullableParts(rules: ReadonlyMap<string, Expression>): (part: Expression) => boolean {
  const nullableRules = new Set<string>();
  const isNullable = (part: Expression): boolean => {
    switch (part.kind) {
      case 'regex':
        return matchesEmpty(part.regex);
      case 'node':
        return false;
      case 'rule':
        return nullableRules.has(part.name);
      case 'sequence':
        return part.parts.every(isNullable);
      case 'choice':
        return part.parts.some(isNullable);
      case 'repeat':
        return part.min === 0 || isNullable(part.body);
    }
  };
  for (let size = -1; size < nullableRules.size; ) {
    size = nullableRules.size;
    for (const [name, expression] of rules) if (isNullable(expression)) nullableRules.add(name);
  }
  return isNullable;
}

function matchesEmpty(regex: Regex): boolean {
  switch (regex.kind) {
    case 'literal':
      return regex.text === '';
    case 'concat':
    case 'both':
      return regex.parts.every(matchesEmpty);
    case 'either':
      return regex.parts.some(matchesEmpty);
    case 'not':
      return !matchesEmpty(regex.body);
    case 'repeat':
      return regex.min === 0 || matchesEmpty(regex.body);
    case 'labelled':
      return matchesEmpty(regex.body);
    case 'automaton':
      return regex.automaton.accepts(regex.state) >= 0;
    default:
      return false;
  }
}
