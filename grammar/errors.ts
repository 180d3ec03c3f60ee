/** A grammar, or a text for it, that cannot be used: one line that names what was found and where. */
export class GrammarError extends Error {
  override readonly name = 'GrammarError';
}
