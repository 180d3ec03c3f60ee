/** Words that must not come up, as the token sequences that would spell them. */

import type { Tokenizer } from '../tokenizer/index.ts';
import { RequestError } from './errors.ts';

/**
 * Each word as it is at the beginning of a text, and as it is after a space.
 * @throws RequestError for an empty word
 */
export function badWordTokens(words: readonly string[], tokenizer: Pick<Tokenizer, 'encode'>): number[][] {
  return words.flatMap((word) => {
    const bare = word.trimStart();
    if (bare === '') throw new RequestError('bad_words cannot contain an empty string', 'bad_words');
    return [bare, ` ${bare}`].map((text) => tokenizer.encode(text, { addSpecialTokens: false }));
  });
}
