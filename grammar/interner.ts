/** Small numbers for tuples of numbers. */

/** Numbers of a tuple. */
const WIDTH = 4;

/** Equal tuples get the same number; new ones are counted from 0. Tuples lie in one array, so that none is an object. */
export class Interner {
  #tuples = new Int32Array(64 * WIDTH);
  /** By hash one more than a tuple's number, or 0; always less than half full. */
  #slots = new Int32Array(256);
  #size = 0;

  /** How many tuples there are. */
  get size(): number {
    return this.#size;
  }

  /** The number of a tuple. It is new when it equals what {@link size} was before. */
  id(a: number, b: number, c = 0, d = 0): number {
    const mask = this.#slots.length - 1;
    let slot = hash(a, b, c, d) & mask;
    for (let found = this.#slots[slot]; found !== 0; found = this.#slots[slot]) {
      const at = (found - 1) * WIDTH;
      const tuples = this.#tuples;
      if (tuples[at] === a && tuples[at + 1] === b && tuples[at + 2] === c && tuples[at + 3] === d) return found - 1;
      slot = (slot + 1) & mask;
    }
    this.#slots[slot] = this.#size + 1;
    return this.#add(a, b, c, d);
  }

  /** One of the four numbers of a tuple. */
  at(id: number, part: 0 | 1 | 2 | 3): number {
    return this.#tuples[id * WIDTH + part];
  }

  #add(a: number, b: number, c: number, d: number): number {
    const id = this.#size++;
    const at = id * WIDTH;
    if (at === this.#tuples.length) {
      const larger = new Int32Array(this.#tuples.length * 2);
      larger.set(this.#tuples);
      this.#tuples = larger;
    }
    this.#tuples[at] = a;
    this.#tuples[at + 1] = b;
    this.#tuples[at + 2] = c;
    this.#tuples[at + 3] = d;
    if (this.#size * 2 > this.#slots.length) this.#rehash();
    return id;
  }

  #rehash(): void {
    const slots = new Int32Array(this.#slots.length * 4);
    const mask = slots.length - 1;
    const tuples = this.#tuples;
    for (let id = 0; id < this.#size; id++) {
      const at = id * WIDTH;
      let slot = hash(tuples[at], tuples[at + 1], tuples[at + 2], tuples[at + 3]) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = id + 1;
    }
    this.#slots = slots;
  }
}

function hash(a: number, b: number, c: number, d: number): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ b;
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35) ^ c;
  h = Math.imul(h ^ (h >>> 13), 0x27d4eb2f) ^ d;
  h = Math.imul(h ^ (h >>> 16), 0x165667b1);
  return h ^ (h >>> 15);
}
