/** Reads the little-endian values of a GGUF header from the part of the file that is there. */

import { CheckpointError } from '../../errors.ts';
import { show } from '../json.ts';

/** Thrown when a header goes on beyond the bytes that were read; `needed` counts from the start of the file. */
export class NeedsMore {
  readonly needed: number;

  constructor(needed: number) {
    this.needed = needed;
  }
}

/** A value of the metadata: 64-bit integers are numbers where they are exact, else bigints. */
export type GgufValue = string | number | bigint | boolean | GgufArray;
export type GgufArray = readonly string[] | readonly boolean[] | readonly bigint[] | NumberArray;
type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

const STRING = 8;
const ARRAY = 9;
const BOOL = 7;

/** Bytes of the types that have a fixed size, by number. */
const SIZES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** Least bytes of an element: a string has at least its length. */
const LEAST_BYTES: readonly number[] = SIZES.map((size, type) => (type === STRING ? 8 : size));

const NUMBER_ARRAYS = [Uint8Array, Int8Array, Uint16Array, Int16Array, Uint32Array, Int32Array, Float32Array];

const MAX_NAME_BYTES = 65_535;
/** Longest array of what takes more memory than its bytes in the file. */
const MAX_OBJECTS = 2 ** 23;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class GgufCursor {
  /** Bytes from the start of the file. */
  at = 0;
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Bytes of the whole file, of which `bytes` is the beginning. */
  readonly #fileBytes: number;

  constructor(file: string, bytes: Uint8Array, fileBytes: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileBytes = fileBytes;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4, 'a number'), true);
  }

  /** An unsigned 64-bit count or length. @throws CheckpointError when it is not a safe integer. */
  size(what: string): number {
    const value = this.#view.getBigUint64(this.#take(8, what), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) this.fail(`${what} is ${value}; expected at most 2^53`);
    return Number(value);
  }

  /** How many entries follow, each of at least `bytesEach`; they must fit the rest of the file. */
  count(what: string, bytesEach: number): number {
    const count = this.size(what);
    const left = this.#fileBytes - this.at;
    if (count > left / bytesEach) this.fail(`${what} is ${count}, which does not fit the ${left} bytes that are left`);
    return count;
  }

  string(what: string, maxBytes = Number.MAX_SAFE_INTEGER): string {
    const length = this.count(`length of ${what}`, 1);
    if (length > maxBytes) this.fail(`${what} has ${length} bytes; expected at most ${maxBytes}`);
    const at = this.#take(length, what);
    return this.#text(at, at + length, what);
  }

  /** The name of a metadata entry or tensor. */
  name(what: string): string {
    return this.string(what, MAX_NAME_BYTES);
  }

  value(key: string): GgufValue {
    const type = this.u32();
    const what = show(key);
    if (type === STRING) return this.string(what);
    if (type === ARRAY) return this.#array(what);
    if (type >= SIZES.length) this.fail(`${what} has type ${type}; expected 0 to ${SIZES.length - 1}`);
    return this.#scalar(type, what);
  }

  /** @throws CheckpointError always. */
  fail(problem: string): never {
    throw new CheckpointError(`${this.#file}: ${problem}`);
  }

  #scalar(type: number, what: string): number | bigint | boolean {
    const at = this.#take(SIZES[type], what);
    const view = this.#view;
    switch (type) {
      case 0:
        return view.getUint8(at);
      case 1:
        return view.getInt8(at);
      case 2:
        return view.getUint16(at, true);
      case 3:
        return view.getInt16(at, true);
      case 4:
        return view.getUint32(at, true);
      case 5:
        return view.getInt32(at, true);
      case 6:
        return view.getFloat32(at, true);
      case BOOL:
        return this.#bool(at, what);
      case 10:
        return exact(view.getBigUint64(at, true));
      case 11:
        return exact(view.getBigInt64(at, true));
      default:
        return view.getFloat64(at, true);
    }
  }

  #bool(at: number, what: string): boolean {
    const byte = this.#view.getUint8(at);
    if (byte > 1) this.fail(`${what} is a boolean of value ${byte}; expected 0 or 1`);
    return byte === 1;
  }

  #array(what: string): GgufArray {
    const type = this.u32();
    if (type === ARRAY) this.fail(`${what} is an array of arrays, which is not supported`);
    if (type >= SIZES.length) this.fail(`${what} is an array of type ${type}; expected 0 to ${SIZES.length - 1}`);
    const count = this.count(`length of ${what}`, LEAST_BYTES[type]);
    if (type >= NUMBER_ARRAYS.length && count > MAX_OBJECTS) {
      this.fail(`${what} has ${count} elements; expected at most ${MAX_OBJECTS} strings, booleans or 64-bit numbers`);
    }
    if (type === STRING) return this.#strings(count, what);
    const bytes = count * SIZES[type];
    const at = this.#take(bytes, what);
    if (type === BOOL) return Array.from({ length: count }, (_, i) => this.#bool(at + i, what));
    // Not `slice`, which for a Buffer of Node's gives no copy.
    const copy = new Uint8Array(this.#bytes.subarray(at, at + bytes)).buffer;
    if (type < NUMBER_ARRAYS.length) return new NUMBER_ARRAYS[type](copy);
    if (type === 12) return new Float64Array(copy);
    return Array.from(type === 10 ? new BigUint64Array(copy) : new BigInt64Array(copy));
  }

  #strings(count: number, what: string): readonly string[] {
    const strings: string[] = [];
    // A vocabulary has hundreds of thousands of them: no call more than needed for each.
    for (let i = 0; i < count; i++) {
      const length = this.count(`length of a string in ${what}`, 1);
      const at = this.#take(length, what);
      strings.push(this.#text(at, at + length, what));
    }
    return strings;
  }

  #text(from: number, to: number, what: string): string {
    const bytes = this.#bytes;
    if (to - from <= 16) {
      let text = '';
      let at = from;
      for (; at < to && bytes[at] < 128; at++) text += String.fromCharCode(bytes[at]);
      if (at === to) return text;
    }
    try {
      return utf8.decode(bytes.subarray(from, to));
    } catch {
      return this.fail(`${what} is not valid UTF-8`);
    }
  }

  /** The place of the next `count` bytes, which are passed over. */
  #take(count: number, what: string): number {
    const at = this.at;
    const end = at + count;
    if (end > this.#fileBytes) {
      this.fail(`ends at byte ${this.#fileBytes}, within ${what}; is it cut short?`);
    }
    if (end > this.#bytes.length) throw new NeedsMore(end);
    this.at = end;
    return at;
  }
}

function exact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
