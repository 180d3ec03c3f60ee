/**
 * Reads the syntax that ECMA-262 (with the `u` flag), Rust's `regex` and Python's `re` have in common, and of each what the
 * others do not read otherwise: `(?P<name>…)`, `(?i:…)`, `\A`, `\z`, `\x{…}`, `[[:alpha:]]`. Where they differ (`.`, `\d`, `\s`,
 * `[]`) it is ECMA-262.
 */

import { GrammarError } from '../errors.ts';
import { type CharSet, charSet, invertCharSet } from '../ir.ts';
import { MAX_NESTING } from '../limits.ts';
import {
  DIGITS,
  LINE_ENDS,
  posixClass,
  SPACE,
  unicodeProperty,
  unionCharSets,
  WORD,
  withBothCases,
} from './char-classes.ts';
import type { Pattern } from './pattern.ts';

/** The largest bound of a repetition. */
const MAX_REPEAT = 2 ** 31 - 1;

export interface Flags {
  /** Letters stand for both cases. */
  readonly ignoreCase: boolean;
  /** `.` matches line ends too. */
  readonly dotAll: boolean;
}

/** @throws GrammarError when it is malformed, or holds what is not a regular language */
export function readPattern(source: string, flags: Flags): Pattern {
  return new Reader(source, flags).read();
}

class Reader {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;
  #flags: Flags;

  constructor(source: string, flags: Flags) {
    this.#chars = [...source];
    this.#flags = flags;
  }

  read(): Pattern {
    const pattern = this.#alternatives();
    if (this.#at < this.#chars.length) throw this.#error('unmatched ")"');
    return pattern;
  }

  #error(problem: string): GrammarError {
    return new GrammarError(`regex: ${problem} at position ${this.#at}`);
  }

  #peek(text: string): boolean {
    for (let i = 0; i < text.length; i++) if (this.#chars[this.#at + i] !== text[i]) return false;
    return true;
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #alternatives(): Pattern {
    if (++this.#depth > MAX_NESTING) throw this.#error(`groups nested more than ${MAX_NESTING} deep`);
    const { ignoreCase, dotAll } = this.#flags;
    const parts = [this.#sequence()];
    while (this.#take('|')) parts.push(this.#sequence());
    this.#depth--;
    this.#flags = { ignoreCase, dotAll };
    return parts.length === 1 ? parts[0] : { kind: 'alternatives', parts };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    while (this.#at < this.#chars.length && !this.#peek('|') && !this.#peek(')')) {
      const repeatable = !/^(?:[\^$]|\\[bBAzZ]|\(\?[=!])/.test(this.#chars.slice(this.#at, this.#at + 3).join(''));
      const atom = this.#atom();
      if (atom) parts.push(this.#quantified(atom, repeatable));
    }
    return parts.length === 1 ? parts[0] : { kind: 'sequence', parts };
  }

  #quantified(atom: Pattern, repeatable: boolean): Pattern {
    const bounds = this.#quantifier();
    if (!bounds) return atom;
    if (!repeatable) throw this.#error('nothing to repeat before the quantifier');
    const [min, max] = bounds;
    if (min > max) throw this.#error(`the bounds {${min},${max}} are out of order`);
    // A lazy quantifier matches the same texts.
    if (!this.#take('?') && this.#peek('+')) throw this.#error('possessive quantifiers are not supported');
    if (this.#peek('*') || this.#peek('?') || this.#peek('+') || this.#boundsHere()) {
      throw this.#error('nothing to repeat before the quantifier');
    }
    return { kind: 'repeat', body: atom, min, max };
  }

  #quantifier(): [min: number, max: number] | undefined {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    const bounds = this.#boundsHere();
    if (!bounds) return undefined;
    this.#at += bounds[0].length;
    const [, single, low, high] = bounds;
    const min = Number(single ?? (low || 0));
    const max = single !== undefined ? min : high === '' ? Number.POSITIVE_INFINITY : Number(high);
    if (min > MAX_REPEAT || (max > MAX_REPEAT && max !== Number.POSITIVE_INFINITY)) {
      throw this.#error(`repetition: expected bounds of at most ${MAX_REPEAT}`);
    }
    return [min, max];
  }

  /** `{m}`, `{m,}`, `{m,n}` or `{,n}` at this place. A brace that is none of them stands for itself. */
  #boundsHere(): RegExpExecArray | null {
    if (!this.#peek('{')) return null;
    const ahead = this.#chars.slice(this.#at, this.#at + 30).join('');
    return /^\{(?:([0-9]+)|(?=[0-9]|,[0-9])([0-9]*),([0-9]*))\}/.exec(ahead);
  }

  /** One atom; undefined for what matches nothing by itself, as a comment. */
  #atom(): Pattern | undefined {
    const char = this.#chars[this.#at];
    if ('*+?'.includes(char) || this.#boundsHere()) throw this.#error(`nothing to repeat before "${char}"`);
    this.#at++;
    switch (char) {
      case '.':
        return { kind: 'set', set: this.#flags.dotAll ? [0, 0x10ffff] : invertCharSet(LINE_ENDS) };
      case '^':
        return { kind: 'start' };
      case '$':
        return { kind: 'end' };
      case '(':
        return this.#group();
      case '[':
        return this.#set(this.#class());
      case '\\':
        return this.#escape();
      default:
        return this.#set(single(char.codePointAt(0)!));
    }
  }

  #set(set: CharSet): Pattern {
    return { kind: 'set', set: this.#flags.ignoreCase ? withBothCases(set) : set };
  }

  #group(): Pattern | undefined {
    if (!this.#take('?')) return this.#closed(this.#alternatives());
    if (this.#take('#')) {
      while (this.#at < this.#chars.length && !this.#peek(')')) this.#at++;
      this.#close();
      return undefined;
    }
    if (this.#take(':')) return this.#closed(this.#alternatives());
    if (this.#take('=')) return this.#closed({ kind: 'ahead', body: this.#alternatives(), negated: false });
    if (this.#take('!')) return this.#closed({ kind: 'ahead', body: this.#alternatives(), negated: true });
    if (this.#peek('<=') || this.#peek('<!')) throw this.#error('look-behind is not supported');
    if (this.#take('P=')) throw this.#error('back-references are not supported: they are not regular');
    if (this.#take('>')) throw this.#error('atomic groups are not supported');
    if (this.#take('P<') || this.#take('<')) {
      const name = this.#until('>');
      if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name))
        throw this.#error(`bad group name "${name.slice(0, 40)}"`);
      return this.#closed(this.#alternatives());
    }
    return this.#flagGroup();
  }

  /** `(?i)` for the rest of the group, and `(?i:…)`. */
  #flagGroup(): Pattern | undefined {
    let on = true;
    const changed = { ...this.#flags };
    for (; this.#at < this.#chars.length; this.#at++) {
      const char = this.#chars[this.#at];
      if (char === ':' || char === ')') break;
      if (char === '-') on = false;
      else if (char === 'i') changed.ignoreCase = on;
      else if (char === 's') changed.dotAll = on;
      else if (char !== 'u') throw this.#error(`the group "(?${char}" is not supported`);
    }
    if (this.#take(')')) {
      this.#flags = changed;
      return undefined;
    }
    if (!this.#take(':')) throw this.#error('missing ")"');
    const outer = this.#flags;
    this.#flags = changed;
    const body = this.#alternatives();
    this.#flags = outer;
    return this.#closed(body);
  }

  #closed(pattern: Pattern): Pattern {
    this.#close();
    return pattern;
  }

  #close(): void {
    if (!this.#take(')')) throw this.#error('missing ")"');
  }

  #until(end: string): string {
    const start = this.#at;
    while (this.#at < this.#chars.length && this.#chars[this.#at] !== end) this.#at++;
    if (this.#at === this.#chars.length) throw this.#error(`missing "${end}"`);
    return this.#chars.slice(start, this.#at++).join('');
  }

  /** What follows a backslash outside a class. */
  #escape(): Pattern {
    const char = this.#chars[this.#at];
    if (char === 'b' || char === 'B') {
      this.#at++;
      if (this.#peek('{')) throw this.#error('word boundaries by name are not supported');
      return { kind: 'boundary', negated: char === 'B' };
    }
    if (char === 'A') return this.#skip({ kind: 'start' });
    if (char === 'z' || char === 'Z') return this.#skip({ kind: 'end' });
    if (char !== undefined && /[1-9k]/.test(char)) {
      throw this.#error('back-references are not supported: they are not regular');
    }
    return this.#set(this.#escapedSet());
  }

  #skip(pattern: Pattern): Pattern {
    this.#at++;
    return pattern;
  }

  /** The set that an escape stands for, in a class or outside. */
  #escapedSet(): CharSet {
    const char = this.#chars[this.#at++];
    switch (char) {
      case undefined:
        throw this.#error('a backslash at the end');
      case 'd':
        return DIGITS;
      case 'D':
        return invertCharSet(DIGITS);
      case 'w':
        return WORD;
      case 'W':
        return invertCharSet(WORD);
      case 's':
        return SPACE;
      case 'S':
        return invertCharSet(SPACE);
      case 'p':
      case 'P': {
        const name = this.#take('{') ? this.#until('}') : (this.#chars[this.#at++] ?? '');
        const negated = name.startsWith('^');
        const set = unicodeProperty(negated ? name.slice(1) : name);
        if (!set) throw this.#error(`unknown Unicode property "${name.slice(0, 40)}"`);
        return (char === 'P') !== negated ? invertCharSet(set) : set;
      }
      case 't':
        return single(0x09);
      case 'n':
        return single(0x0a);
      case 'v':
        return single(0x0b);
      case 'f':
        return single(0x0c);
      case 'r':
        return single(0x0d);
      case 'a':
        return single(0x07);
      case '0':
        if (/[0-9]/.test(this.#chars[this.#at] ?? '')) throw this.#error('octal escapes are not supported');
        return single(0);
      case 'c': {
        const letter = this.#chars[this.#at++] ?? '';
        if (!/^[A-Za-z]$/.test(letter)) throw this.#error('expected a letter after "\\c"');
        return single(letter.charCodeAt(0) & 0x1f);
      }
      case 'x':
        return single(this.#take('{') ? this.#hexUntilBrace() : this.#hex(2));
      case 'u':
        return single(this.#take('{') ? this.#hexUntilBrace() : this.#hexUnit());
      case 'U':
        return single(this.#codePoint(this.#hex(8)));
      default:
        if (/[\p{L}\p{N}]/u.test(char)) throw this.#error(`unknown escape "\\${char}"`);
        return single(char.codePointAt(0)!);
    }
  }

  #hex(digits: number): number {
    const text = this.#chars.slice(this.#at, this.#at + digits).join('');
    if (text.length !== digits || !/^[0-9A-Fa-f]+$/.test(text))
      throw this.#error(`expected ${digits} hexadecimal digits`);
    this.#at += digits;
    return Number.parseInt(text, 16);
  }

  #hexUntilBrace(): number {
    const text = this.#until('}');
    if (!/^[0-9A-Fa-f]{1,8}$/.test(text)) throw this.#error('expected hexadecimal digits in braces');
    return this.#codePoint(Number.parseInt(text, 16));
  }

  #codePoint(value: number): number {
    if (value > 0x10ffff) throw this.#error('the code point is above U+10FFFF');
    return value;
  }

  /** `\uXXXX`, with a second one when the first is half of a pair. */
  #hexUnit(): number {
    const first = this.#hex(4);
    if (first < 0xd800 || first > 0xdbff || !this.#peek('\\u')) return first;
    const back = this.#at;
    this.#at += 2;
    const second = this.#peek('{') ? 0 : this.#hex(4);
    if (second >= 0xdc00 && second <= 0xdfff) return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    this.#at = back;
    return first;
  }

  /** What stands between brackets. */
  #class(): CharSet {
    const negated = this.#take('^');
    const sets: CharSet[] = [];
    const ranges: [number, number][] = [];
    while (!this.#take(']')) {
      if (this.#at >= this.#chars.length) throw this.#error('missing "]"');
      const posix = this.#posix();
      if (posix) {
        sets.push(posix);
        continue;
      }
      const low = this.#classAtom();
      if (this.#peek('-') && this.#at + 1 < this.#chars.length && this.#chars[this.#at + 1] !== ']') {
        const back = this.#at++;
        const high = this.#classAtom();
        if (isSingle(low) && isSingle(high)) {
          if (low[0] > high[0]) throw this.#error('the range is out of order');
          ranges.push([low[0], high[0]]);
          continue;
        }
        // A class beside the hyphen: the hyphen stands for itself.
        this.#at = back + 1;
        ranges.push([0x2d, 0x2d]);
      }
      sets.push(low);
    }
    // Both cases first: what neither case of is in the set is outside.
    const set = unionCharSets(charSet(ranges), ...sets);
    const full = this.#flags.ignoreCase ? withBothCases(set) : set;
    return negated ? invertCharSet(full) : full;
  }

  #posix(): CharSet | undefined {
    if (!this.#peek('[:')) return undefined;
    const name = /^\[:(\^?)([a-z]{1,10}):\]/.exec(this.#chars.slice(this.#at, this.#at + 20).join(''));
    const set = name && posixClass(name[2]);
    if (!set) return undefined;
    this.#at += name[0].length;
    return name[1] ? invertCharSet(set) : set;
  }

  #classAtom(): CharSet {
    if (!this.#take('\\')) return single(this.#chars[this.#at++].codePointAt(0)!);
    if (this.#take('b')) return single(0x08);
    return this.#escapedSet();
  }
}

function single(code: number): CharSet {
  return [code, code];
}

function isSingle(set: CharSet): boolean {
  return set.length === 2 && set[0] === set[1];
}
