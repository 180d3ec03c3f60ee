/** From a parsed pattern to a program: instructions in one array, their operands behind them. */

import { TokenizerError } from '../errors.ts';
import { CharacterSet } from './character-set.ts';
import type { PatternNode } from './parse.ts';

export const OP = {
  /** The pattern, or the part that is run by itself, has matched. */
  ACCEPT: 0,
  /** unit: this UTF-16 unit comes next. */
  UNIT: 1,
  /** set: a character of it comes next. */
  SET: 2,
  /** set, min, max (−1: any number), whether possessive: as many of its characters as there are. */
  RUN: 3,
  /** other: goes on with the next instruction, and with `other` should that fail. */
  TRY: 4,
  /** target */
  JUMP: 5,
  /** set, whether behind, whether negated: the neighbour is (not) of the set; there is none at the ends of the text. */
  LOOK_AT: 6,
  /** whether negated, end: what stands up to `end` matches here (or not). */
  AHEAD: 7,
  /** whether negated, end, min, max: what stands up to `end` matches so many characters before, and ends here (or not). */
  BEHIND: 8,
  /** Ends where the look behind began. */
  ENDS_HERE: 9,
  /** end: what stands up to `end` matches, and nothing of it is given back. */
  ATOMIC: 10,
  /** loop: notes where a round of it begins. */
  ROUND: 11,
  /** loop, exit: goes to `exit` when the round has taken nothing. */
  ROUND_ENDS: 12,
} as const;

export interface Program {
  readonly code: Int32Array;
  readonly sets: readonly CharacterSet[];
  /** Loops whose rounds may be empty. */
  readonly loops: number;
}

const MAX_CODE_LENGTH = 1 << 16;
const MAX_SETS = 256;
/** Characters that a look behind may go back. */
const MAX_BEHIND = 255;

/** @throws TokenizerError when the program would be too large */
export function compileProgram(node: PatternNode, where: string): Program {
  const compiler = new Compiler(where);
  compiler.emit(node);
  return compiler.finish();
}

class Compiler {
  readonly #where: string;
  readonly #code: number[] = [];
  readonly #sets = new Map<string, number>();
  #loops = 0;

  constructor(where: string) {
    this.#where = where;
  }

  finish(): Program {
    this.#add(OP.ACCEPT);
    const sets = Array.from(this.#sets.keys(), (source) => {
      try {
        return new CharacterSet(source);
      } catch {
        throw new TokenizerError(`${this.#where} has a class that is not valid: ${source.slice(0, 80)}`);
      }
    });
    return { code: Int32Array.from(this.#code), sets, loops: this.#loops };
  }

  emit(node: PatternNode): void {
    switch (node.kind) {
      case 'set': {
        const unit = literalUnit(node.source);
        if (unit === undefined) this.#add(OP.SET, this.#set(node.source));
        else this.#add(OP.UNIT, unit);
        break;
      }
      case 'sequence':
        for (const item of node.items) this.emit(item);
        break;
      case 'choice':
        this.#choice(node.options);
        break;
      case 'repeat':
        this.#repeat(node);
        break;
      case 'atomic':
        this.#atomic(() => this.emit(node.item));
        break;
      case 'look':
        this.#look(node);
        break;
    }
  }

  #choice(options: readonly PatternNode[]): void {
    const jumps: number[] = [];
    options.forEach((option, i) => {
      const isLast = i === options.length - 1;
      const otherwise = isLast ? -1 : this.#addWithTarget(OP.TRY);
      this.emit(option);
      if (isLast) return;
      jumps.push(this.#addWithTarget(OP.JUMP));
      this.#aim(otherwise);
    });
    for (const jump of jumps) this.#aim(jump);
  }

  #repeat({ item, min, max, mode }: Extract<PatternNode, { kind: 'repeat' }>): void {
    if (item.kind === 'set' && mode !== 'lazy') {
      const most = max === Number.POSITIVE_INFINITY ? -1 : max;
      this.#add(OP.RUN, this.#set(item.source), min, most, mode === 'possessive' ? 1 : 0);
    } else if (mode === 'possessive') {
      this.#atomic(() => this.#rounds(item, min, max, false));
    } else {
      this.#rounds(item, min, max, mode === 'lazy');
    }
  }

  #rounds(item: PatternNode, min: number, max: number, lazy: boolean): void {
    for (let i = 0; i < min; i++) this.emit(item);
    if (max !== Number.POSITIVE_INFINITY) {
      const exits: number[] = [];
      for (let i = min; i < max; i++) {
        exits.push(this.#addExit(lazy));
        this.emit(item);
      }
      for (const exit of exits) this.#aim(exit);
      return;
    }
    const start = this.#code.length;
    const exit = this.#addExit(lazy);
    const loop = lengthOf(item).min === 0 ? this.#loops++ : -1;
    if (loop >= 0) this.#add(OP.ROUND, loop);
    this.emit(item);
    const emptyExit = loop < 0 ? -1 : this.#addWithTarget(OP.ROUND_ENDS, loop);
    this.#add(OP.JUMP, start);
    this.#aim(exit);
    if (emptyExit >= 0) this.#aim(emptyExit);
  }

  /** What comes before a round that is not necessary; gives the operand that wants the address after it. */
  #addExit(lazy: boolean): number {
    if (!lazy) return this.#addWithTarget(OP.TRY);
    const round = this.#addWithTarget(OP.TRY);
    const exit = this.#addWithTarget(OP.JUMP);
    this.#aim(round);
    return exit;
  }

  #atomic(body: () => void): void {
    const end = this.#addWithTarget(OP.ATOMIC);
    body();
    this.#add(OP.ACCEPT);
    this.#aim(end);
  }

  #look({ item, behind, negated }: Extract<PatternNode, { kind: 'look' }>): void {
    if (item.kind === 'set') {
      this.#add(OP.LOOK_AT, this.#set(item.source), behind ? 1 : 0, negated ? 1 : 0);
      return;
    }
    const end = this.#addWithTarget(behind ? OP.BEHIND : OP.AHEAD, negated ? 1 : 0);
    if (behind) {
      const { min, max } = lengthOf(item);
      if (max > MAX_BEHIND) throw new TokenizerError(`${this.#where} looks back further than ${MAX_BEHIND} characters`);
      this.#add(min, max);
    }
    this.emit(item);
    if (behind) this.#add(OP.ENDS_HERE);
    this.#add(OP.ACCEPT);
    this.#aim(end);
  }

  #set(source: string): number {
    let index = this.#sets.get(source);
    if (index === undefined) {
      index = this.#sets.size;
      if (index === MAX_SETS) throw new TokenizerError(`${this.#where} has more than ${MAX_SETS} character classes`);
      this.#sets.set(source, index);
    }
    return index;
  }

  #add(...words: number[]): void {
    if (this.#code.length + words.length > MAX_CODE_LENGTH) {
      throw new TokenizerError(`${this.#where} is too large when its repetitions are written out`);
    }
    this.#code.push(...words);
  }

  /** Adds an instruction whose last operand is an address to come; gives the place of that operand. */
  #addWithTarget(...words: number[]): number {
    this.#add(...words, -1);
    return this.#code.length - 1;
  }

  #aim(operand: number): void {
    this.#code[operand] = this.#code.length;
  }
}

/** The UTF-16 unit that a set of one character is; undefined for other sets. */
function literalUnit(source: string): number | undefined {
  if (source.length === 1) return source.charCodeAt(0);
  const escaped = /^\\u\{([0-9A-F]{1,4})\}$/.exec(source);
  const unit = escaped ? Number.parseInt(escaped[1], 16) : -1;
  return unit < 0 || (unit & 0xf800) === 0xd800 ? undefined : unit;
}

/** How many characters a node can match. */
function lengthOf(node: PatternNode): { min: number; max: number } {
  switch (node.kind) {
    case 'set':
      return { min: 1, max: 1 };
    case 'look':
      return { min: 0, max: 0 };
    case 'atomic':
      return lengthOf(node.item);
    case 'sequence':
      return node.items.map(lengthOf).reduce((sum, { min, max }) => ({ min: sum.min + min, max: sum.max + max }), {
        min: 0,
        max: 0,
      });
    case 'choice': {
      const lengths = node.options.map(lengthOf);
      return { min: Math.min(...lengths.map(({ min }) => min)), max: Math.max(...lengths.map(({ max }) => max)) };
    }
    case 'repeat': {
      const { min, max } = lengthOf(node.item);
      return { min: min * node.min, max: max === 0 ? 0 : max * node.max };
    }
  }
}
