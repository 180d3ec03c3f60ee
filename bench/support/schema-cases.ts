/** Schemas with instances, and texts as tokens, for the grammar bench. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface SchemaCase {
  readonly name: string;
  readonly schema: unknown;
  readonly tests: readonly { readonly valid: boolean; readonly data: unknown }[];
}

/** The `*.json` files of a folder that hold `schema` and `tests`. */
export function readSchemaCases(folder: string, only: string): SchemaCase[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json') && file.includes(only))
    .sort()
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as SchemaCase)
    .filter(({ schema, tests }) => schema !== undefined && Array.isArray(tests));
}

/** Splits texts into the longest tokens from the left: one of the ways that a matcher must accept. */
export class LongestTokens {
  readonly #ids = new Map<string, number>();
  #longest = 1;

  constructor(tokens: readonly Uint8Array[]) {
    tokens.forEach((bytes, id) => {
      if (bytes.length === 0) return;
      this.#ids.set(Buffer.from(bytes).toString('latin1'), id);
      this.#longest = Math.max(this.#longest, bytes.length);
    });
  }

  encode(text: string): number[] {
    const bytes = Buffer.from(text).toString('latin1');
    const ids: number[] = [];
    for (let at = 0; at < bytes.length; ) {
      let length = Math.min(this.#longest, bytes.length - at);
      while (length > 1 && !this.#ids.has(bytes.slice(at, at + length))) length--;
      const id = this.#ids.get(bytes.slice(at, at + length));
      if (id === undefined) throw new Error(`no token for byte ${bytes.charCodeAt(at)}`);
      ids.push(id);
      at += length;
    }
    return ids;
  }
}

/** What one schema case came to. */
export interface CaseResult {
  readonly outcome: 'right' | 'refused' | 'accepts invalid' | 'rejects valid' | 'timeout';
  readonly compileMs: number;
  readonly coldMicros: readonly number[];
  readonly warmMicros: readonly number[];
  readonly note?: string;
}
