/** A set of characters, asked for one character at a time. */

const [NO, YES] = [1, 2];

/** What is known of a set is kept for each UTF-16 unit, so that the question costs one load. */
export class CharacterSet {
  readonly #test: RegExp;
  /** By UTF-16 unit: 0 where it has not been asked for. */
  readonly #known = new Uint8Array(0x10000);
  readonly #beyond = new Map<number, boolean>();

  /**
   * @param source  a single character as JavaScript writes it for the `v` flag
   * @throws SyntaxError
   */
  constructor(source: string) {
    this.#test = new RegExp(`^${source}$`, 'v');
  }

  /** UTF-16 units of the character at `at` (1 or 2), or 0 when it is not in the set; `at` lies within the text. */
  widthAt(text: string, at: number): number {
    const unit = text.charCodeAt(at);
    if ((unit & 0xfc00) === 0xd800) return this.#widthOfPair(text, at, unit);
    const known = this.#known[unit];
    return known === 0 ? this.#learn(unit) : known - NO;
  }

  #learn(unit: number): number {
    const isIn = this.#test.test(String.fromCharCode(unit));
    this.#known[unit] = isIn ? YES : NO;
    return isIn ? 1 : 0;
  }

  #widthOfPair(text: string, at: number, unit: number): number {
    const code = text.codePointAt(at)!;
    if (code === unit) return this.#known[unit] === 0 ? this.#learn(unit) : this.#known[unit] - NO;
    let isIn = this.#beyond.get(code);
    if (isIn === undefined) {
      isIn = this.#test.test(String.fromCodePoint(code));
      this.#beyond.set(code, isIn);
    }
    return isIn ? 2 : 0;
  }
}
