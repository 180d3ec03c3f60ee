/** What `loop` tells inside of a `for`. Items are fetched one by one, and ahead only when a template asks. */

import { Callable, equals, fail, type Value } from './values.ts';

export class LoopState {
  current: Value = undefined;
  readonly #items: Iterator<Value>;
  #length: number | undefined;
  /** Items fetched ahead. */
  readonly #ahead: Value[] = [];
  #index = -1;
  #previous: Value = undefined;
  #changed: Value[] | undefined;

  /** @param length  undefined when it is known only by walking to the end */
  constructor(items: Iterable<Value>, length: number | undefined) {
    this.#items = items[Symbol.iterator]();
    this.#length = length;
  }

  /** Goes on to the next item; false at the end. */
  advance(): boolean {
    if (!this.#fetch()) return false;
    this.#previous = this.current;
    this.current = this.#ahead.shift();
    this.#index++;
    return true;
  }

  get(name: string): Value {
    switch (name) {
      case 'index':
        return this.#index + 1;
      case 'index0':
        return this.#index;
      case 'first':
        return this.#index === 0;
      case 'last':
        return !this.#fetch();
      case 'length':
        return this.#count();
      case 'revindex':
        return this.#count() - this.#index;
      case 'revindex0':
        return this.#count() - this.#index - 1;
      case 'previtem':
        return this.#index === 0 ? undefined : this.#previous;
      case 'nextitem':
        return this.#fetch() ? this.#ahead[0] : undefined;
      case 'depth':
        return 1;
      case 'depth0':
        return 0;
      case 'cycle':
        return new Callable((args) =>
          args.length > 0 ? args[this.#index % args.length] : fail('loop.cycle is given nothing'),
        );
      case 'changed':
        return new Callable((args) => {
          const isSame = this.#changed !== undefined && equals(this.#changed, args);
          this.#changed = args;
          return !isSame;
        });
    }
    return undefined;
  }

  #fetch(): boolean {
    if (this.#ahead.length > 0) return true;
    const next = this.#items.next();
    if (next.done) return false;
    this.#ahead.push(next.value);
    return true;
  }

  #count(): number {
    if (this.#length === undefined) {
      for (let next = this.#items.next(); !next.done; next = this.#items.next()) this.#ahead.push(next.value);
      this.#length = this.#index + 1 + this.#ahead.length;
    }
    return this.#length;
  }
}
