/**
 * Reads the regular expressions of `tokenizer.json`. The files are written for Oniguruma, whose classes follow Unicode: its
 * `\s` has U+0085 and lacks U+FEFF, `\d` and `\w` know every script, `^` and `$` match at lines, and it has possessive
 * repetition, atomic groups and case-insensitive groups. Source: Oniguruma's doc/RE and doc/SYNTAX.md.
 */

import { TokenizerError } from '../errors.ts';

/** A piece of a pattern. Groups do not capture: nothing refers back to one. */
export type PatternNode =
  | { readonly kind: 'set'; readonly source: string }
  | { readonly kind: 'sequence'; readonly items: readonly PatternNode[] }
  | { readonly kind: 'choice'; readonly options: readonly PatternNode[] }
  | {
      readonly kind: 'repeat';
      readonly item: PatternNode;
      readonly min: number;
      /** Infinity without a bound. */
      readonly max: number;
      readonly mode: 'greedy' | 'lazy' | 'possessive';
    }
  | { readonly kind: 'atomic'; readonly item: PatternNode }
  | { readonly kind: 'look'; readonly item: PatternNode; readonly behind: boolean; readonly negated: boolean };

const MAX_PATTERN_LENGTH = 8192;
const MAX_GROUP_DEPTH = 64;
const MAX_REPEAT = 1000;
/** Quantifiers after one another. */
const MAX_QUANTIFIERS = 8;

const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
/** Outside of brackets, the numbers of Latin-1 count as word characters too. */
const WORD_ESCAPE = `${WORD}\\u{B2}\\u{B3}\\u{B9}\\u{BC}-\\u{BE}`;

/** What a class escape stands for, as the inside of a JavaScript class. */
const CLASS_ESCAPES: ReadonlyMap<string, string> = new Map([
  ['s', '\\p{White_Space}'],
  ['d', '\\p{Nd}'],
  ['w', WORD_ESCAPE],
  ['h', '0-9A-Fa-f'],
]);

const CHARACTER_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['t', 0x09],
  ['n', 0x0a],
  ['v', 0x0b],
  ['f', 0x0c],
  ['r', 0x0d],
  ['a', 0x07],
  ['e', 0x1b],
]);

/** Property names that are not Unicode's, as the inside of a JavaScript class. */
const POSIX_CLASSES: ReadonlyMap<string, string> = new Map([
  ['alnum', '\\p{Alphabetic}\\p{Nd}'],
  ['alpha', '\\p{Alphabetic}'],
  ['ascii', '\\u{0}-\\u{7F}'],
  ['blank', '\\p{Zs}\\t'],
  ['cntrl', '\\p{Cc}'],
  ['digit', '\\p{Nd}'],
  ['graph', '\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}'],
  ['lower', '\\p{Lowercase}'],
  ['print', '\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}\\p{Zs}'],
  ['punct', '\\p{P}\\p{S}'],
  ['space', '\\p{White_Space}'],
  ['upper', '\\p{Uppercase}'],
  ['word', WORD],
  ['xdigit', '0-9A-Fa-f'],
]);

/**
 * Sets are given as JavaScript writes a single character for the `v` flag: `a`, `[\p{L}a-z]`.
 *
 * @throws TokenizerError for syntax that is not understood
 */
export function parsePattern(pattern: string, where: string): PatternNode {
  if (pattern.length > MAX_PATTERN_LENGTH) {
    throw new TokenizerError(`${where} is ${pattern.length} characters long; at most ${MAX_PATTERN_LENGTH} are read`);
  }
  return new PatternParser(pattern, where).parse();
}

/** The characters of `text`, one after the other. */
export function literalNode(text: string): PatternNode {
  return { kind: 'sequence', items: Array.from(text, (char) => set(literal(char.codePointAt(0)!))) };
}

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
  readonly extended: boolean;
}

class PatternParser {
  readonly #chars: readonly string[];
  readonly #where: string;
  #at = 0;

  constructor(pattern: string, where: string) {
    this.#chars = Array.from(pattern);
    this.#where = where;
  }

  parse(): PatternNode {
    const node = this.#alternatives({ ignoreCase: false, dotAll: false, extended: false }, 0);
    if (this.#at < this.#chars.length) throw this.#error('has a ) too many');
    return node;
  }

  /** Everything up to the end of the pattern or to a closing parenthesis, which is left there. */
  #alternatives(outer: Flags, depth: number): PatternNode {
    if (depth > MAX_GROUP_DEPTH) throw this.#error(`nests more than ${MAX_GROUP_DEPTH} groups`);
    let flags = outer;
    const options: PatternNode[][] = [[]];
    while (this.#at < this.#chars.length && this.#chars[this.#at] !== ')') {
      const char = this.#chars[this.#at];
      if (char === '|') {
        this.#at++;
        options.push([]);
      } else if (flags.extended && /\s/.test(char)) {
        this.#at++;
      } else if (flags.extended && char === '#') {
        while (this.#at < this.#chars.length && this.#chars[this.#at] !== '\n') this.#at++;
      } else if (this.#takes('(?#')) {
        while (this.#at < this.#chars.length && this.#chars[this.#at] !== ')') this.#at++;
        this.#at++;
      } else {
        const inline = this.#inlineFlags(flags);
        if (inline?.ends) {
          flags = inline.flags;
          continue;
        }
        options[options.length - 1].push(
          this.#repeated(inline ? this.#group(inline.flags, depth) : this.#atom(flags, depth)),
        );
      }
    }
    const sequences = options.map(sequence);
    return sequences.length === 1 ? sequences[0] : { kind: 'choice', options: sequences };
  }

  /** Reads `(?i)` (which ends there and holds for the rest of the group) or the head of `(?i:`. */
  #inlineFlags(flags: Flags): { flags: Flags; ends: boolean } | undefined {
    const head = /^\(\?([imx]*)(?:-([imx]*))?([:)])/.exec(this.#chars.slice(this.#at, this.#at + 12).join(''));
    if (!head || head[0] === '(?:') return undefined;
    this.#at += head[0].length;
    const on = (name: string, was: boolean) => (was || head[1].includes(name)) && !head[2]?.includes(name);
    return {
      flags: {
        ignoreCase: on('i', flags.ignoreCase),
        dotAll: on('m', flags.dotAll),
        extended: on('x', flags.extended),
      },
      ends: head[3] === ')',
    };
  }

  #atom(flags: Flags, depth: number): PatternNode {
    for (const [opening, behind, negated] of LOOKS) {
      if (this.#takes(opening)) return look(this.#group(flags, depth), behind, negated);
    }
    if (this.#takes('(?:')) return this.#group(flags, depth);
    if (this.#takes('(?>')) return { kind: 'atomic', item: this.#group(flags, depth) };
    if (this.#takes('(?')) {
      if (!this.#takes('<')) throw this.#error('has a group of an unknown kind');
      while (this.#at < this.#chars.length && this.#chars[this.#at] !== '>') this.#at++;
      this.#at++;
      return this.#group(flags, depth);
    }
    if (this.#takes('(')) return this.#group(flags, depth);
    const char = this.#next();
    if (char === '[') return set(this.#characterClass(flags, depth));
    if (char === '.') return set(flags.dotAll ? ANY : '[^\\n]');
    if (char === '^') return look(set('[^\\n]'), true, true);
    if (char === '$') return look(set('[^\\n]'), false, true);
    if (char === '\\') return this.#escape(flags);
    if (char === '*' || char === '+' || char === '?') throw this.#error(`has ${char} with nothing to repeat`);
    return set(literalIn(char.codePointAt(0)!, flags));
  }

  #group(flags: Flags, depth: number): PatternNode {
    const node = this.#alternatives(flags, depth + 1);
    if (!this.#takes(')')) throw this.#error('lacks a )');
    return node;
  }

  /** `atom` with the quantifiers that follow it. */
  #repeated(atom: PatternNode): PatternNode {
    let node = atom;
    for (let quantifiers = 0; ; quantifiers++) {
      const rest = this.#chars.slice(this.#at, this.#at + 24).join('');
      const quantifier = /^(?:([*+?])|\{(\d*)(,?)(\d*)\})/.exec(rest);
      if (!quantifier || quantifier[0] === '{}' || quantifier[0] === '{,}') return node;
      if (quantifiers === MAX_QUANTIFIERS) throw this.#error(`repeats a repetition more than ${quantifiers} times`);
      this.#at += quantifier[0].length;
      const [written, sign, low, comma, high] = quantifier;
      if (Math.max(Number(low ?? 0), Number(high ?? 0)) > MAX_REPEAT) {
        throw this.#error(`repeats ${written}; at most ${MAX_REPEAT} times are counted`);
      }
      const min = sign === '+' ? 1 : Number(low || 0);
      const max = sign === '?' ? 1 : sign || (comma && !high) ? Number.POSITIVE_INFINITY : Number(high || low);
      if (max < min) throw this.#error(`repeats ${written}, which is out of order`);
      const isPossessive = sign !== undefined && this.#takes('+');
      const mode = isPossessive ? 'possessive' : this.#takes('?') ? 'lazy' : 'greedy';
      node = { kind: 'repeat', item: node, min, max, mode };
    }
  }

  #escape(flags: Flags): PatternNode {
    const char = this.#next();
    const inside = this.#classEscape(char);
    if (inside !== undefined) return set(inside);
    const word = (behind: boolean, negated: boolean) => look(set(`[${WORD_ESCAPE}]`), behind, negated);
    const atWordEdge = (isEdge: boolean): PatternNode => ({
      kind: 'choice',
      options: [sequence([word(true, false), word(false, isEdge)]), sequence([word(true, true), word(false, !isEdge)])],
    });
    switch (char) {
      case 'A':
        return look(set(ANY), true, true);
      case 'z':
        return look(set(ANY), false, true);
      case 'Z': {
        const lineEnd: PatternNode = { kind: 'repeat', item: set('\\n'), min: 0, max: 1, mode: 'greedy' };
        return look(sequence([lineEnd, look(set(ANY), false, true)]), false, false);
      }
      case 'b':
        return atWordEdge(true);
      case 'B':
        return atWordEdge(false);
      case 'R':
        return {
          kind: 'choice',
          options: [sequence([set('\\r'), set('\\n')]), set('[\\n-\\r\\u{85}\\u{2028}\\u{2029}]')],
        };
    }
    return set(literalIn(this.#characterEscape(char), flags));
  }

  /** A class escape such as `\s` or `\p{L}`, valid inside and outside of brackets; undefined for other escapes. */
  #classEscape(char: string): string | undefined {
    if (char === 'p' || char === 'P') return this.#property(char === 'P');
    const inside = CLASS_ESCAPES.get(char.toLowerCase());
    if (inside === undefined) return undefined;
    return char === char.toLowerCase() ? `[${inside}]` : `[^${inside}]`;
  }

  #property(negated: boolean): string {
    const written = /^\{(\^?)([\w =]+)\}/.exec(this.#chars.slice(this.#at, this.#at + 64).join(''));
    if (!written) throw this.#error('has \\p without a {name}');
    this.#at += written[0].length;
    const inside = propertyClass(written[2].trim());
    if (inside === undefined) throw this.#error(`names the unknown property ${written[2]}`);
    return negated !== (written[1] === '^') ? `[^${inside}]` : `[${inside}]`;
  }

  #characterEscape(char: string): number {
    const known = CHARACTER_ESCAPES.get(char);
    if (known !== undefined) return known;
    if (char === 'x' || char === 'u') {
      const digits =
        char === 'x'
          ? /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{1,2}))/
          : /^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{4}))/;
      const hex = digits.exec(this.#chars.slice(this.#at, this.#at + 8).join(''));
      const code = hex ? Number.parseInt(hex[1] ?? hex[2], 16) : -1;
      if (!hex || code > 0x10ffff) throw this.#error(`has \\${char} without a character number`);
      this.#at += hex[0].length;
      return code;
    }
    if (/[0-9A-Za-z]/.test(char)) throw this.#error(`has the unsupported escape \\${char}`);
    return char.codePointAt(0)!;
  }

  /** A class after its opening bracket. Operands of `&&` become nested classes. */
  #characterClass(flags: Flags, depth: number): string {
    if (depth > MAX_GROUP_DEPTH) throw this.#error(`nests more than ${MAX_GROUP_DEPTH} classes`);
    const negated = this.#takes('^');
    const operands: string[] = [];
    let members = this.#takes(']') ? literal(0x5d) : '';
    while (!this.#takes(']')) {
      const posix = /^\[:(\^?)(\w+):\]/.exec(this.#chars.slice(this.#at, this.#at + 16).join(''));
      if (posix) {
        const inside = POSIX_CLASSES.get(posix[2]);
        if (inside === undefined) throw this.#error(`names the unknown class ${posix[0]}`);
        this.#at += posix[0].length;
        members += `[${posix[1]}${inside}]`;
      } else if (this.#takes('[')) {
        members += this.#characterClass(flags, depth + 1);
      } else if (this.#takes('&&')) {
        operands.push(`[${members}]`);
        members = '';
      } else {
        members += this.#classMember(flags);
      }
    }
    if (operands.length > 0) members = [...operands, `[${members}]`].join('&&');
    return `[${negated ? '^' : ''}${members}]`;
  }

  #classMember(flags: Flags): string {
    const first = this.#classCharacter();
    if (typeof first === 'string') return first;
    const isRange = this.#chars[this.#at] === '-' && this.#chars[this.#at + 1] !== ']';
    if (!isRange) return flags.ignoreCase ? caseVariants(first).map(literal).join('') : literal(first);
    this.#at++;
    const last = this.#classCharacter();
    if (typeof last === 'string') return `${literal(first)}${literal(0x2d)}${last}`;
    if (last < first) throw this.#error('has a range out of order');
    return rangeMembers(first, last, flags);
  }

  /** One code point of a class, or a class escape as text. */
  #classCharacter(): number | string {
    const char = this.#next();
    if (char !== '\\') return char.codePointAt(0)!;
    const escaped = this.#next();
    return this.#classEscape(escaped) ?? (escaped === 'b' ? 0x08 : this.#characterEscape(escaped));
  }

  #next(): string {
    if (this.#at >= this.#chars.length) throw this.#error('ends too early');
    return this.#chars[this.#at++];
  }

  #takes(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#chars[this.#at + i] !== text[i]) return false;
    this.#at += text.length;
    return true;
  }

  #error(problem: string): TokenizerError {
    return new TokenizerError(`${this.#where} ${problem}: ${this.#chars.slice(0, 80).join('')}`);
  }
}

const LOOKS = [
  ['(?=', false, false],
  ['(?!', false, true],
  ['(?<=', true, false],
  ['(?<!', true, true],
] as const;

/** Any character at all. */
const ANY = '[\\s\\S]';

function set(source: string): PatternNode {
  return { kind: 'set', source };
}

function sequence(items: readonly PatternNode[]): PatternNode {
  return items.length === 1 ? items[0] : { kind: 'sequence', items };
}

function look(item: PatternNode, behind: boolean, negated: boolean): PatternNode {
  return { kind: 'look', item, behind, negated };
}

/** A code point as it may stand inside and outside of a class. */
function literal(code: number): string {
  const char = String.fromCodePoint(code);
  return /^[0-9A-Za-z]$/.test(char) ? char : `\\u{${code.toString(16).toUpperCase()}}`;
}

function literalIn(code: number, flags: Flags): string {
  const variants = flags.ignoreCase ? caseVariants(code) : [code];
  return variants.length === 1 ? literal(code) : `[${variants.map(literal).join('')}]`;
}

/** All code points that equal `code` without regard to case: `s`, `S` and the long `ſ`, but not `ß` for `ss`. */
function caseVariants(code: number): number[] {
  const same = new RegExp(`^${literal(code)}$`, 'iv');
  return [
    code,
    ...casedCharacters()
      .filter((char) => same.test(char))
      .map((char) => char.codePointAt(0)!),
  ].filter((variant, i, all) => all.indexOf(variant) === i);
}

function rangeMembers(first: number, last: number, flags: Flags): string {
  const range = `${literal(first)}-${literal(last)}`;
  if (!flags.ignoreCase) return range;
  const same = new RegExp(`^[${range}]$`, 'iv');
  const variants = casedCharacters().filter((char) => same.test(char));
  return range + variants.map((char) => literal(char.codePointAt(0)!)).join('');
}

let cased: readonly string[] | undefined;

/** Every character that has case. All of them lie below U+20000. */
function casedCharacters(): readonly string[] {
  cased ??= Array.from({ length: 0x20000 }, (_, code) => String.fromCodePoint(code)).filter((char) =>
    /[\p{Changes_When_Casemapped}\p{Changes_When_Casefolded}]/u.test(char),
  );
  return cased;
}

/** The inside of a class for `\p{name}`: a category, a script, a binary property or a name of POSIX. */
function propertyClass(name: string): string | undefined {
  // `\p{Punct}` is the Unicode category, unlike `[[:punct:]]`, which has the symbols too.
  if (/^punct$/i.test(name)) return '\\p{P}';
  const posix = POSIX_CLASSES.get(name.toLowerCase());
  if (posix !== undefined) return posix;
  for (const spelled of [name, `Script=${name}`, name.replace(/^Is_?/i, '')]) {
    try {
      new RegExp(`[\\p{${spelled}}]`, 'v');
      return `\\p{${spelled}}`;
    } catch {}
  }
  return undefined;
}
