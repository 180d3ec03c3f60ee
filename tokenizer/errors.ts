/** A tokenizer file, a chat template or a token id that cannot be used; the message names it in one line. */
export class TokenizerError extends Error {
  override readonly name = 'TokenizerError';
}
