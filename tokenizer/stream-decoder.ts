/**
 * Incremental detokenisation: tokens go in one by one, text comes out as soon as it can no longer change. Text that
 * ends in U+FFFD is held back, since the next token may complete the character.
 */

/** What the stream needs of a tokenizer. */
export interface StreamSource {
  /** The text of some ids. */
  readonly decode: (ids: readonly number[]) => string;
  /** False for ids that contribute nothing: unknown ones and skipped special tokens. */
  readonly contributes: (id: number) => boolean;
  /**
   * What stands for the text up to and with token `id` while the next tokens are decoded: the token itself or, since
   * bytes are read together with their neighbours, any other token when it is a byte. Undefined when there is none.
   */
  readonly contextOf: (id: number) => number | undefined;
}

/** So many tokens that end in no whole character are no character to come; their U+FFFD is given out. */
const MAX_HELD_TOKENS = 256;

/**
 * Each push decodes a window only: one token of context, because a decoder may treat the first token of a text
 * differently, and the tokens whose text is not out yet.
 */
export class StreamDecoder {
  readonly #source: StreamSource;
  #window: number[] = [];
  /** Length of the part of the window's text that is out already. */
  #shown = 0;

  constructor(source: StreamSource) {
    this.#source = source;
  }

  /** The text that token `id` makes certain; empty while a character is unfinished. */
  push(id: number): string {
    if (!this.#source.contributes(id)) return '';
    this.#window.push(id);
    const text = this.#source.decode(this.#window);
    if (text.endsWith('\uFFFD') && this.#window.length < MAX_HELD_TOKENS) return '';
    const fresh = text.slice(this.#shown);
    const context = this.#source.contextOf(id);
    if (context === undefined) {
      this.#shown = text.length;
    } else {
      this.#window = [context];
      this.#shown = this.#source.decode(this.#window).length;
    }
    return fresh;
  }

  /** What was held back, with U+FFFD for what is broken; the stream then begins anew. */
  flush(): string {
    const rest = this.#source.decode(this.#window).slice(this.#shown);
    this.#window = [];
    this.#shown = 0;
    return rest;
  }
}
