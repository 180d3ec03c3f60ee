/**
 * Rules that begin with themselves, written as repetitions: `sum: sum "+" term | term` is `sum: term ("+" term)*`. It is the
 * elimination of Paull (Moore, "Removing Left Recursion from Context-Free Grammars", 2000) with Arden's rule for the direct
 * case.
 */

import { GrammarError } from '../errors.ts';
import { choiceOf, type Expression, sequenceOf } from './rules.ts';

const EMPTY: Expression = { kind: 'sequence', parts: [] };
/** Longest expression that an elimination may make. */
const MAX_PARTS = 10_000;

/** An expression as what follows each rule that it begins with, and what begins otherwise. */
interface Split {
  readonly left: ReadonlyMap<string, readonly Expression[]>;
  readonly rest: readonly Expression[];
}

/** @throws GrammarError when a rule begins with itself behind a part that may be empty */
export function withoutLeftRecursion(
  rules: ReadonlyMap<string, Expression>,
  nullable: (part: Expression) => boolean,
): Map<string, Expression> {
  const result = new Map(rules);
  for (const group of leftRecursiveGroups(rules, nullable)) {
    const inGroup = new Set(group);
    const splits = new Map<string, Split>();
    for (const [index, name] of group.entries()) {
      let split = splitLeft(result.get(name)!, inGroup, nullable);
      for (const earlier of group.slice(0, index)) split = substitute(split, earlier, splits.get(earlier)!);
      split = repeatTails(split, name);
      if (split.rest.length + split.left.size > MAX_PARTS) {
        throw new GrammarError(`ebnf: the rule "${name}" begins with itself in too many ways`);
      }
      splits.set(name, split);
      result.set(name, joined(split));
    }
  }
  return result;
}

/** Puts what an earlier rule stands for in its place. */
function substitute({ left, rest }: Split, name: string, meaning: Split): Split {
  const tails = left.get(name);
  if (!tails) return { left, rest };
  const tail = choiceOf(tails);
  const others = new Map([...left].filter(([other]) => other !== name));
  for (const [other, otherTails] of meaning.left) {
    others.set(other, [...(others.get(other) ?? []), ...otherTails.map((part) => sequenceOf([part, tail]))]);
  }
  return { left: others, rest: [...rest, ...meaning.rest.map((part) => sequenceOf([part, tail]))] };
}

/** `a: a x | y` is `a: y x*`. */
function repeatTails({ left, rest }: Split, name: string): Split {
  const tails = left.get(name);
  if (!tails) return { left, rest };
  const again: Expression = { kind: 'repeat', body: choiceOf(tails), min: 0, max: Number.POSITIVE_INFINITY };
  const others = new Map<string, readonly Expression[]>();
  for (const [other, otherTails] of left) {
    if (other !== name)
      others.set(
        other,
        otherTails.map((part) => sequenceOf([part, again])),
      );
  }
  return { left: others, rest: rest.map((part) => sequenceOf([part, again])) };
}

function joined({ left, rest }: Split): Expression {
  const begun = [...left].map(([name, tails]) => sequenceOf([{ kind: 'rule', name }, choiceOf(tails)]));
  return choiceOf([...begun, ...rest]);
}

function splitLeft(expression: Expression, group: ReadonlySet<string>, nullable: (part: Expression) => boolean): Split {
  const begins = (part: Expression) => [...leadingRules(part, nullable)].some((name) => group.has(name));
  const split = (part: Expression): Split => {
    if (!begins(part)) return { left: new Map(), rest: [part] };
    switch (part.kind) {
      case 'rule':
        return { left: new Map([[part.name, [EMPTY]]]), rest: [] };
      case 'choice':
        return merge(part.parts.map(split));
      case 'sequence': {
        const [first, ...others] = part.parts;
        const more = sequenceOf(others);
        if (!begins(first)) throw new GrammarError('ebnf: a rule begins with itself behind a part that may be empty');
        const head = split(first);
        if (nullable(first) && begins(more)) {
          throw new GrammarError('ebnf: a rule begins with itself behind a part that may be empty');
        }
        return {
          left: new Map([...head.left].map(([name, tails]) => [name, tails.map((tail) => sequenceOf([tail, more]))])),
          rest: head.rest.map((one) => sequenceOf([one, more])),
        };
      }
      case 'repeat': {
        const { body, min, max } = part;
        if (max === 0) return { left: new Map(), rest: [EMPTY] };
        const again: Expression = { kind: 'repeat', body, min: Math.max(0, min - 1), max: max - 1 };
        const some = split({ kind: 'sequence', parts: [body, again] });
        return min > 0 ? some : merge([some, { left: new Map(), rest: [EMPTY] }]);
      }
      default:
        return { left: new Map(), rest: [part] };
    }
  };
  return split(expression);
}

function merge(splits: readonly Split[]): Split {
  const left = new Map<string, readonly Expression[]>();
  for (const split of splits) {
    for (const [name, tails] of split.left) left.set(name, [...(left.get(name) ?? []), ...tails]);
  }
  return { left, rest: splits.flatMap(({ rest }) => rest) };
}

/** The rules that a text of the expression may begin with. */
function* leadingRules(expression: Expression, nullable: (part: Expression) => boolean): Generator<string> {
  switch (expression.kind) {
    case 'regex':
    case 'node':
      return;
    case 'rule':
      yield expression.name;
      return;
    case 'repeat':
      yield* leadingRules(expression.body, nullable);
      return;
    case 'choice':
      for (const part of expression.parts) yield* leadingRules(part, nullable);
      return;
    case 'sequence':
      for (const part of expression.parts) {
        yield* leadingRules(part, nullable);
        if (!nullable(part)) return;
      }
  }
}

/** Groups of rules that begin with each other, each in the order of the text. */
function leftRecursiveGroups(
  rules: ReadonlyMap<string, Expression>,
  nullable: (part: Expression) => boolean,
): string[][] {
  const reach = new Map<string, Set<string>>();
  for (const name of rules.keys()) {
    const found = new Set<string>();
    const open = [name];
    while (open.length > 0) {
      for (const next of leadingRules(rules.get(open.pop()!)!, nullable)) {
        if (found.has(next)) continue;
        found.add(next);
        open.push(next);
      }
    }
    reach.set(name, found);
  }
  const groups: string[][] = [];
  const done = new Set<string>();
  for (const name of rules.keys()) {
    if (done.has(name) || !reach.get(name)!.has(name)) continue;
    const group = [...rules.keys()].filter((other) => reach.get(name)!.has(other) && reach.get(other)!.has(name));
    for (const other of group) done.add(other);
    groups.push(group);
  }
  return groups;
}
