/** The vocabulary of a model: token text to id and back. */

import { TokenizerError } from './errors.ts';
import { countOf, objectOf } from './json-fields.ts';

/** Tables are sized by the greatest id, so a file may not name an arbitrary one. */
export const MAX_TOKEN_ID = (1 << 22) - 1;

export class Vocabulary {
  /** A `Map`, since `__proto__` is a token like any other. */
  readonly #ids = new Map<string, number>();
  readonly #tokens: (string | undefined)[] = [];

  constructor(entries: Iterable<readonly [string, number]>) {
    let largest = -1;
    for (const [token, id] of entries) {
      if (!this.#ids.has(token)) this.#ids.set(token, id);
      if (id > largest) largest = id;
    }
    this.#tokens = new Array<string | undefined>(largest + 1).fill(undefined);
    for (const [token, id] of this.#ids) this.#tokens[id] = token;
  }

  /** `{ token: id }` as BPE, WordPiece and WordLevel write it. */
  static fromJson(json: unknown, where: string): Vocabulary {
    const entries = Object.entries(objectOf(json, where)) as [string, number][];
    if (entries.length === 0) throw new TokenizerError(`${where} is empty; expected at least one token`);
    for (const [token, id] of entries) {
      const isFine = Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID;
      if (!isFine) countOf(id, `${where}[${JSON.stringify(token.slice(0, 40))}]`, MAX_TOKEN_ID);
    }
    return new Vocabulary(entries);
  }

  /** The greatest id plus one. */
  get size(): number {
    return this.#tokens.length;
  }

  idOf(token: string): number | undefined {
    return this.#ids.get(token);
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }
}
