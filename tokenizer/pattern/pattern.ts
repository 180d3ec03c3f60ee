/**
 * Finds the matches of a pattern of `tokenizer.json`, with a bound on the work.
 *
 * A pattern from a file may take exponential or quadratic time on the right text, in any engine that tries one way after
 * the other, as Oniguruma and JavaScript's own do; and the files' order of preference is defined by such an engine. So this
 * is one as well, but it counts: the patterns that tokenizers use need some ten steps a character, and a text that would take
 * hundreds is refused. What is still to be tried lies on a stack of its own, so that a long text cannot exhaust the
 * machine's.
 */

import { TokenizerError } from '../errors.ts';
import { literalNode, parsePattern } from './parse.ts';
import { compileProgram, OP, type Program } from './program.ts';

/** Steps that a text may take: some for each of its UTF-16 units, and some whatever its length. */
const STEPS_A_UNIT = 200;
const STEPS_IN_ANY_CASE = 5e6;

/** Words of an entry of the stack. */
const ENTRY = 3;
const FIRST_STACK_WORDS = 256 * ENTRY;
const MAX_STACK_WORDS = 2 ** 24;

export class Pattern {
  readonly #program: Program;
  readonly #where: string;
  /** What {@link Pattern.literal} looks for, if not nothing. */
  readonly #literal: string;
  /** By loop: where its round began. */
  readonly #rounds: Int32Array;
  #stack = new Int32Array(FIRST_STACK_WORDS);
  #top = 0;
  #steps = 0;

  /**
   * @param where  what the pattern is called in an error message
   * @throws TokenizerError for syntax that is not understood
   */
  static compile(pattern: string, where: string): Pattern {
    return new Pattern(compileProgram(parsePattern(pattern, where), where), where);
  }

  /** A pattern that matches `text` itself. */
  static literal(text: string): Pattern {
    return new Pattern(compileProgram(literalNode(text), 'a literal'), 'a literal', text);
  }

  private constructor(program: Program, where: string, literal = '') {
    this.#program = program;
    this.#where = where;
    this.#literal = literal;
    this.#rounds = new Int32Array(program.loops);
  }

  /**
   * Calls `found` with the start and end of each match, from left to right. Nothing within a character matches, and an empty
   * match does not follow right after another match.
   * @throws TokenizerError when it takes too long
   */
  forEachMatch(text: string, found: (start: number, end: number) => void): void {
    if (this.#literal !== '') {
      const { length } = this.#literal;
      for (let at = text.indexOf(this.#literal); at >= 0; at = text.indexOf(this.#literal, at + length)) {
        found(at, at + length);
      }
      return;
    }
    this.#steps = STEPS_IN_ANY_CASE + STEPS_A_UNIT * text.length;
    let lastEnd = -1;
    for (let at = 0; at <= text.length; ) {
      const end = this.#run(text, 0, at, -1);
      if (end > at || (end === at && at !== lastEnd)) {
        found(at, end);
        lastEnd = end;
      }
      at = end > at ? end : at + widthAt(text, at);
    }
    // A text of a megabyte must not hold its memory for ever.
    if (this.#stack.length > 2 ** 16) this.#stack = new Int32Array(FIRST_STACK_WORDS);
  }

  /** Runs the instructions from `pc` on, at a place of the text; gives where the match ends, or −1. */
  #run(text: string, entry: number, start: number, behindOf: number): number {
    const { code, sets } = this.#program;
    const rounds = this.#rounds;
    const length = text.length;
    const bottom = this.#top;
    let pc = entry;
    let at = start;
    for (;;) {
      let fails = false;
      switch (code[pc]) {
        case OP.ACCEPT:
          this.#top = bottom;
          return at;
        case OP.UNIT:
          if (at < length && text.charCodeAt(at) === code[pc + 1]) {
            at++;
            pc += 2;
          } else fails = true;
          break;
        case OP.SET: {
          const width = at < length ? sets[code[pc + 1]].widthAt(text, at) : 0;
          at += width;
          pc += 2;
          fails = width === 0;
          break;
        }
        case OP.RUN: {
          const set = sets[code[pc + 1]];
          const min = code[pc + 2];
          const max = code[pc + 3];
          const from = at;
          let least = min === 0 ? at : -1;
          let count = 0;
          while (at < length && count !== max) {
            const width = set.widthAt(text, at);
            if (width === 0) break;
            at += width;
            if (++count === min) least = at;
          }
          this.#steps -= at - from;
          fails = count < min;
          // On failure one character less is tried, down to the least that is allowed.
          if (!fails && at > least && code[pc + 4] === 0) this.#push(pc + 5, at, least);
          pc += 5;
          break;
        }
        case OP.TRY:
          this.#push(code[pc + 1], at, -1);
          pc += 2;
          break;
        case OP.JUMP:
          pc = code[pc + 1];
          break;
        case OP.LOOK_AT: {
          const place = code[pc + 2] === 0 ? at : at - widthBefore(text, at);
          const isThere = (code[pc + 2] === 0 ? at < length : at > 0) && sets[code[pc + 1]].widthAt(text, place) > 0;
          fails = isThere === (code[pc + 3] === 1);
          pc += 4;
          break;
        }
        case OP.AHEAD: {
          const matches = this.#run(text, pc + 3, at, -1) >= 0;
          fails = matches === (code[pc + 1] === 1);
          pc = code[pc + 2];
          break;
        }
        case OP.BEHIND: {
          const matches = this.#matchesBehind(text, pc, at);
          fails = matches === (code[pc + 1] === 1);
          pc = code[pc + 2];
          break;
        }
        case OP.ENDS_HERE:
          fails = at !== behindOf;
          pc++;
          break;
        case OP.ATOMIC: {
          const end = this.#run(text, pc + 2, at, -1);
          fails = end < 0;
          at = end;
          pc = code[pc + 1];
          break;
        }
        case OP.ROUND: {
          const loop = code[pc + 1];
          this.#push(-1 - loop, rounds[loop], -1);
          rounds[loop] = at;
          pc += 2;
          break;
        }
        case OP.ROUND_ENDS:
          pc = at === rounds[code[pc + 1]] ? code[pc + 2] : pc + 3;
          break;
      }
      if (this.#steps-- <= 0 || this.#top > MAX_STACK_WORDS) throw this.#tooSlow(text);
      if (!fails) continue;
      const stack = this.#stack;
      // Loops get back what they had noted before.
      while (this.#top > bottom && stack[this.#top - ENTRY] < 0) {
        this.#top -= ENTRY;
        rounds[-1 - stack[this.#top]] = stack[this.#top + 1];
      }
      if (this.#top === bottom) return -1;
      this.#top -= ENTRY;
      pc = stack[this.#top];
      at = stack[this.#top + 1];
      const least = stack[this.#top + 2];
      if (least >= 0) {
        at -= widthBefore(text, at);
        if (at > least) this.#push(pc, at, least);
      }
    }
  }

  #matchesBehind(text: string, pc: number, at: number): boolean {
    const { code } = this.#program;
    let from = at;
    for (let characters = 0; characters <= code[pc + 4]; characters++) {
      if (characters >= code[pc + 3] && this.#run(text, pc + 5, from, at) >= 0) return true;
      if (from === 0) return false;
      from -= widthBefore(text, from);
    }
    return false;
  }

  /** `least` ≥ 0: one character less than `at` is tried, and so on down to `least`. A negative `pc` stands for a loop. */
  #push(pc: number, at: number, least: number): void {
    if (this.#top === this.#stack.length) {
      const larger = new Int32Array(2 * this.#stack.length);
      larger.set(this.#stack);
      this.#stack = larger;
    }
    this.#stack[this.#top] = pc;
    this.#stack[this.#top + 1] = at;
    this.#stack[this.#top + 2] = least;
    this.#top += ENTRY;
  }

  #tooSlow(text: string): TokenizerError {
    this.#top = 0;
    this.#stack = new Int32Array(FIRST_STACK_WORDS);
    return new TokenizerError(`${this.#where} takes too long on a text of ${text.length} characters`);
  }
}

/** UTF-16 units of the character at `at`; 1 at the end of the text. */
function widthAt(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1;
}

/** UTF-16 units of the character that ends at `at`. */
function widthBefore(text: string, at: number): number {
  return at > 1 && text.codePointAt(at - 2)! > 0xffff ? 2 : 1;
}
