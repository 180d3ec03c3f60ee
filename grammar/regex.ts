/** Regular expressions to {@link Regex}: assertions become intersections, so that nothing ever backtracks. */

import { GrammarError } from './errors.ts';
import {
  anyText,
  both,
  type CharSet,
  charsOf,
  concat,
  either,
  empty,
  invertCharSet,
  literal,
  many,
  not,
  nothing,
  type Regex,
  repeat,
} from './ir.ts';
import { WORD } from './regex/char-classes.ts';
import { hasAssertion, hasBoundary, type Pattern } from './regex/pattern.ts';
import { readPattern } from './regex/reader.ts';

export interface RegexOptions {
  /** `whole`: the expression matches the whole text; `search`: some part of it, as `pattern` in JSON Schema. */
  readonly match: 'whole' | 'search';
  readonly ignoreCase?: boolean;
  readonly dotAll?: boolean;
}

/**
 * The texts that a regular expression matches.
 * @throws GrammarError when it is malformed, or holds what is not supported (back-references, look-behind)
 */
export function parseRegex(source: string, { match, ignoreCase = false, dotAll = false }: RegexOptions): Regex {
  if (!source.isWellFormed()) throw new GrammarError('regex: expected a text without lone surrogates');
  const pattern = readPattern(source, { ignoreCase, dotAll });
  const translator = new Translator(hasBoundary(pattern));
  if (match === 'whole') return translator.translate(pattern, sameEverywhere(empty)).at('start');
  const found = translator.translate(pattern, sameEverywhere(anyText));
  return found.looksBack ? translator.join(anyText, found, 'start') : concat(anyText, found.at('other'));
}

/** What stands before a place: nothing, a word character, or another one (any one, where no `\b` asks). */
type Left = 'start' | 'word' | 'other';

/** What may follow a place, by what stands before it. */
interface Rest {
  readonly looksBack: boolean;
  at(left: Left): Regex;
}

/** Longest repetition that is written out because its body looks around. */
const MAX_WRITTEN_OUT = 8;

const NOT_WORD = invertCharSet(WORD);
const endsInWord = concat(anyText, charsOf(WORD));
const endsOutsideWord = concat(anyText, charsOf(NOT_WORD));
const beginsWithWord = concat(charsOf(WORD), anyText);
const notEmpty = concat(charsOf([0, 0x10ffff]), anyText);

class Translator {
  readonly #boundaries: boolean;

  constructor(boundaries: boolean) {
    this.#boundaries = boundaries;
  }

  /** The texts of a pattern followed by those of `rest`. */
  translate(pattern: Pattern, rest: Rest): Rest {
    if (!hasAssertion(pattern)) {
      const plain = plainRegex(pattern);
      if (rest.looksBack) return restOf(true, (left) => this.join(plain, rest, left));
      return sameEverywhere(concat(plain, rest.at('other')));
    }
    switch (pattern.kind) {
      case 'sequence':
        return mergedRuns(pattern.parts).reduceRight((after, part) => this.translate(part, after), rest);
      case 'alternatives': {
        const branches = pattern.parts.map((part) => this.translate(part, rest));
        return restOf(
          branches.some((branch) => branch.looksBack),
          (left) => either(...branches.map((branch) => branch.at(left))),
        );
      }
      case 'repeat':
        return this.#writeOut(pattern.body, pattern.min, pattern.max, rest);
      case 'start':
        return restOf(true, (left) => (left === 'start' ? rest.at(left) : nothing));
      case 'end':
        return restOf(rest.looksBack, (left) => onlyEmpty(rest.at(left)));
      case 'boundary':
        return restOf(true, (left) => {
          const word = (left === 'word') === pattern.negated;
          return both(rest.at(left), word ? beginsWithWord : not(beginsWithWord));
        });
      case 'ahead': {
        const seen = this.translate(pattern.body, sameEverywhere(anyText));
        return restOf(rest.looksBack || seen.looksBack, (left) => {
          const ahead = seen.at(left);
          return both(rest.at(left), pattern.negated ? not(ahead) : ahead);
        });
      }
      default:
        throw new GrammarError(`regex: unexpected ${pattern.kind}`);
    }
  }

  /** The texts of `plain` followed by those of `rest`, which depends on the last character of `plain`. */
  join(plain: Regex, rest: Rest, left: Left): Regex {
    const unmoved = concat(onlyEmpty(plain), rest.at(left));
    if (!this.#boundaries) return either(unmoved, concat(both(plain, notEmpty), rest.at('other')));
    return either(
      unmoved,
      concat(both(plain, endsInWord), rest.at('word')),
      concat(both(plain, endsOutsideWord), rest.at('other')),
    );
  }

  /** A repetition whose body looks around, as nested options. */
  #writeOut(body: Pattern, min: number, max: number, rest: Rest): Rest {
    if (max > MAX_WRITTEN_OUT) {
      throw new GrammarError(
        `regex: an assertion in a repetition of more than ${MAX_WRITTEN_OUT} times is not supported`,
      );
    }
    let all = rest;
    for (let count = max; count > 0; count--) {
      const more = this.translate(body, all);
      all = count > min ? eitherRest(rest, more) : more;
    }
    return all;
  }
}

function restOf(back: boolean, make: (left: Left) => Regex): Rest {
  const made = new Map<Left, Regex>();
  return {
    looksBack: back,
    at(left) {
      const key = back ? left : 'other';
      let regex = made.get(key);
      if (!regex) made.set(key, (regex = make(key)));
      return regex;
    },
  };
}

function sameEverywhere(regex: Regex): Rest {
  return { looksBack: false, at: () => regex };
}

function eitherRest(a: Rest, b: Rest): Rest {
  return restOf(a.looksBack || b.looksBack, (left) => either(a.at(left), b.at(left)));
}

/** The empty text if it is in the language. */
function onlyEmpty(regex: Regex): Regex {
  return regex === anyText || regex === empty ? empty : both(regex, empty);
}

/** Parts without assertions that follow each other, as one part each. */
function mergedRuns(parts: readonly Pattern[]): readonly Pattern[] {
  const merged: Pattern[] = [];
  let run: Pattern[] = [];
  const flush = () => {
    if (run.length > 0) merged.push(run.length === 1 ? run[0] : { kind: 'sequence', parts: run });
    run = [];
  };
  for (const part of parts) {
    if (hasAssertion(part)) {
      flush();
      merged.push(part);
    } else run.push(part);
  }
  flush();
  return merged;
}

function plainRegex(pattern: Pattern): Regex {
  switch (pattern.kind) {
    case 'set':
      return oneOf(pattern.set);
    case 'sequence':
      return concat(...pattern.parts.map(plainRegex));
    case 'alternatives':
      return either(...pattern.parts.map(plainRegex));
    case 'repeat':
      return pattern.min === 0 && pattern.max === Number.POSITIVE_INFINITY
        ? many(plainRegex(pattern.body))
        : repeat(plainRegex(pattern.body), pattern.min, pattern.max);
    default:
      throw new GrammarError(`regex: unexpected ${pattern.kind}`);
  }
}

function oneOf(set: CharSet): Regex {
  return set.length === 2 && set[0] === set[1] ? literal(String.fromCodePoint(set[0])) : charsOf(set);
}
