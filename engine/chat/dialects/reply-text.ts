/**
 * The text of a reply on its way into a parser. Text comes in pieces of any size, and a parser is written as if it were all
 * there: a generator that pauses wherever the text ends for the moment.
 */

/** What a piece of a reply turned out to be. */
export type ReplyPart =
  | { readonly type: 'content' | 'reasoning' | 'arguments'; readonly text: string }
  /** The next call begins; its arguments follow. */
  | { readonly type: 'call'; readonly name: string };

/** Pauses for more text. */
export type Parsing<T = void> = Generator<undefined, T, undefined>;

/** The text is no call: what was read since the mark is content. */
export class NotACall extends Error {}

export class ReplyText {
  /** Text that is not dropped yet; the parser is at `#at`. */
  #text = '';
  #at = 0;
  /** Where the call began that is being read; -1: there is none that could still turn out to be content. */
  #mark = -1;
  /** Blanks, and what may be the beginning of a marker: held back until it is known what follows. */
  #held = '';
  #heldType: 'content' | 'reasoning' = 'content';
  #parts: ReplyPart[] = [];
  #calls = 0;

  append(text: string): void {
    const keep = this.#mark < 0 ? this.#at : this.#mark;
    this.#text = this.#text.slice(keep) + text;
    this.#at -= keep;
    if (this.#mark >= 0) this.#mark = 0;
  }

  /** The parts found so far; neighbours of the same kind are one. */
  take(): ReplyPart[] {
    const parts = this.#parts;
    this.#parts = [];
    return parts;
  }

  /** The text has ended: what could have been a call is content. */
  end(): void {
    this.emit(this.#heldType, this.#held);
    if (this.#mark >= 0) this.emit('content', this.#text.slice(this.#mark));
    this.unmark();
  }

  get calls(): number {
    return this.#calls;
  }

  emit(type: 'content' | 'reasoning' | 'arguments', text: string): void {
    if (text === '') return;
    // Blanks between and after calls are no content.
    if (type === 'content' && this.#calls > 0 && text.trim() === '') return;
    const last = this.#parts.at(-1);
    if (last?.type === type) this.#parts[this.#parts.length - 1] = { type, text: last.text + text };
    else this.#parts.push({ type, text });
  }

  /** A call begins, and there is no way back. */
  call(name: string): void {
    this.#calls++;
    this.unmark();
    this.#parts.push({ type: 'call', name });
  }

  /** What comes may be a call; `begin` has been read of it. */
  mark(begin = ''): void {
    this.#held += begin;
    this.#mark = this.#at;
  }

  /** What came since the mark was no call. */
  retreat(): void {
    if (this.#mark < 0) return;
    this.emit('content', this.#held + this.#text.slice(this.#mark, this.#at));
    this.unmark();
  }

  /** What came since the mark is none of the reply's content. */
  unmark(): void {
    this.#mark = -1;
    this.#held = '';
  }

  /** The next character, which stays. */
  *peek(): Parsing<string> {
    while (this.#at >= this.#text.length) yield;
    return this.#text[this.#at];
  }

  *next(): Parsing<string> {
    const character = yield* this.peek();
    this.#at++;
    return character;
  }

  *blanks(): Parsing {
    while (/\s/.test(yield* this.peek())) this.#at++;
  }

  /** Reads a text that must come. */
  *expect(text: string): Parsing {
    for (const character of text) if ((yield* this.next()) !== character) throw new NotACall();
  }

  /** Reads one of the texts if it comes. They must not begin alike. */
  *skip(...texts: readonly string[]): Parsing<boolean> {
    const first = yield* this.peek();
    const text = texts.find((candidate) => candidate.startsWith(first));
    if (text === undefined) return false;
    for (let length = 1; length <= text.length; length++) {
      while (this.#text.length - this.#at < length) yield;
      if (!this.#text.startsWith(text.slice(0, length), this.#at)) return false;
    }
    this.#at += text.length;
    return true;
  }

  /** Reads while the characters match, at most `limit` of them. */
  *while(pattern: RegExp, limit = 256): Parsing<string> {
    let text = '';
    while (pattern.test(yield* this.peek())) {
      text += yield* this.next();
      if (text.length > limit) throw new NotACall();
    }
    return text;
  }

  /** Reads up to the end of a marker; gives the text before it. */
  *through(marker: string): Parsing<string> {
    let text = '';
    while (!text.endsWith(marker)) text += yield* this.next();
    return text.slice(0, -marker.length);
  }

  /** Emits all text that comes. */
  *rest(type: 'content' | 'arguments'): Parsing {
    for (;;) {
      yield* this.peek();
      this.emit(type, this.#text.slice(this.#at));
      this.#at = this.#text.length;
    }
  }

  /**
   * Emits text as it comes up to a marker, and reads over the marker. Blanks before a marker are dropped.
   * @returns the marker
   */
  *until(markers: readonly string[], type: 'content' | 'reasoning' = 'content'): Parsing<string> {
    this.#heldType = type;
    for (;;) {
      yield* this.peek();
      const window = this.#held + this.#text.slice(this.#at);
      this.#at = this.#text.length;
      const found = firstOf(markers, window);
      if (found !== undefined) {
        const { marker, index } = found;
        const before = window.slice(0, index).trimEnd();
        this.emit(type, before);
        this.#held = type === 'content' ? window.slice(before.length, index) : '';
        this.#at -= window.length - index - marker.length;
        return marker;
      }
      const uncertain = Math.max(...markers.map((marker) => overlap(window, marker)));
      const certain = window.slice(0, window.length - uncertain).trimEnd();
      this.emit(type, certain);
      this.#held = window.slice(certain.length);
    }
  }
}

function firstOf(markers: readonly string[], text: string): { marker: string; index: number } | undefined {
  return markers
    .map((marker) => ({ marker, index: text.indexOf(marker) }))
    .filter(({ index }) => index >= 0)
    .sort((a, b) => a.index - b.index)[0];
}

/** How many characters at the end of `text` are the beginning of `marker`. */
function overlap(text: string, marker: string): number {
  for (let length = Math.min(text.length, marker.length - 1); length > 0; length--) {
    if (text.endsWith(marker.slice(0, length))) return length;
  }
  return 0;
}
