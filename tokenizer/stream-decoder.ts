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
  /** True for a token that stands for one byte and is read together with its neighbours. */
  readonly isByte: (id: number) => boolean;
}

/**
 * Each push decodes a window only: the last token whose text is out, as context (a decoder may treat the first token of
 * a text differently), and what came after it. A window never begins within a run of byte tokens, because such a run is
 * decoded as a whole.
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
    if (text.endsWith('\uFFFD')) return '';
    const fresh = text.slice(this.#shown);
    if (this.#source.isByte(id)) {
      this.#shown = text.length;
    } else {
      this.#window = [id];
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
