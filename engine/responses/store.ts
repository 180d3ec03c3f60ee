/** Responses that are kept for a while, in memory: to be gone on from, looked at, and cancelled. */

import type { ChatMessageParam } from '../chat/index.ts';
import { RequestError } from '../errors.ts';
import type { ApiResponse } from './types.ts';

/** Most responses that are kept, and the characters of what was said in all of them; the oldest go first. */
const MAX_KEPT = 1000;
const MAX_CHARACTERS = 64 * 2 ** 20;

export interface KeptResponse {
  readonly response: ApiResponse;
  /** The conversation so far, with the answer at its end. */
  readonly messages: readonly ChatMessageParam[];
  /** Who may see it. */
  readonly owner: string | undefined;
  /** Ends a response that runs in the background. */
  readonly cancel?: () => void;
}

export class ResponseStore {
  readonly #kept = new Map<string, { readonly entry: KeptResponse; readonly characters: number }>();
  #characters = 0;

  /** Keeps a response, or what has become of it. */
  put(entry: KeptResponse, newMessages: readonly ChatMessageParam[]): void {
    const { id } = entry.response;
    this.#drop(id);
    const characters = JSON.stringify([entry.response, newMessages]).length;
    this.#kept.set(id, { entry, characters });
    this.#characters += characters;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_KEPT && this.#characters <= MAX_CHARACTERS) return;
      this.#drop(oldest);
    }
  }

  /** @param param  the parameter that named it @throws RequestError `response_not_found` */
  get(id: string, owner: string | undefined, param: string): KeptResponse {
    const entry = this.#kept.get(id)?.entry;
    if (entry && entry.owner === owner) return entry;
    throw new RequestError(
      `The response ${JSON.stringify(id.slice(0, 100))} does not exist.`,
      param,
      'response_not_found',
    );
  }

  /** @throws RequestError `response_not_found` */
  delete(id: string, owner: string | undefined): void {
    this.get(id, owner, 'response_id').cancel?.();
    this.#drop(id);
  }

  has(id: string): boolean {
    return this.#kept.has(id);
  }

  #drop(id: string): void {
    this.#characters -= this.#kept.get(id)?.characters ?? 0;
    this.#kept.delete(id);
  }
}
