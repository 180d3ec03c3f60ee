/** Matchers that let another one run for a part of the text. */

import type { Matcher } from '../../../grammar/index.ts';

/** Where a text stands after a token. */
export interface Place {
  /** The matcher of the part that is being written, or was last. */
  readonly inner: Matcher | null;
  /** Tokens that it has accepted. */
  readonly accepted: number;
}

export abstract class PlaceMatcher<P extends Place> implements Matcher {
  /** One for each token, and the start; rollback takes them back together with what `inner` has accepted. */
  readonly #places: P[];

  constructor(start: P) {
    this.#places = [start];
  }

  abstract fillMask(mask: Uint32Array): void;
  abstract canFinish(): boolean;
  abstract forcedTokens(): number[];
  /** The place after a token, which `inner` has taken if it is its own; null: the token may not come. */
  protected abstract after(tokenId: number): P | null;

  protected get place(): P {
    return this.#places[this.#places.length - 1];
  }

  accept(tokenId: number): boolean {
    const next = this.after(tokenId);
    if (next) this.#places.push(next);
    return next !== null;
  }

  rollback(count: number): void {
    for (let i = 0; i < count; i++) {
      const { inner, accepted } = this.#places.pop()!;
      const { inner: before, accepted: acceptedBefore } = this.place;
      if (inner !== null && inner === before && accepted > acceptedBefore) inner.rollback(1);
    }
  }

  reset(): void {
    this.rollback(this.#places.length - 1);
  }
}
