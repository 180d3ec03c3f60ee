/** A queue for searches that look first where an end may be near. */

/** Distances from which on they are all taken for the same. */
const FAR = 64;

/** Numbers by their distance, the nearest first, and those of one distance in their order. */
export class NearestFirst {
  readonly #queues: number[][] = [];
  readonly #taken: number[] = [];

  add(id: number, distance: number): void {
    const at = Math.min(distance, FAR);
    while (this.#queues.length <= at) {
      this.#queues.push([]);
      this.#taken.push(0);
    }
    this.#queues[at].push(id);
  }

  take(): number | undefined {
    for (let at = 0; at < this.#queues.length; at++) {
      if (this.#taken[at] < this.#queues[at].length) return this.#queues[at][this.#taken[at]++];
    }
    return undefined;
  }
}
