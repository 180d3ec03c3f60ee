/**
 * Puts the blocks of one weight row, in file layout, into its lane of a panel; see `block-forms.ts`. Codes are handled four
 * at a time, as the bytes of little-endian words.
 */

import { unpackKCodes, unpackNibbles, unpackQ6Codes, unpackScalesAndMins } from '../decode-blocks.ts';
import { blockShape, halfToFloat, type QuantizedWeightFormat } from '../formats.ts';
import { BLOCK, BLOCK_FORMS, type BlockForm, type BlockLayout, blockLayout } from './block-forms.ts';

/** Where a row's part of a block or super-block goes. */
interface Place {
  readonly form: BlockForm;
  readonly layout: BlockLayout;
  readonly target: Uint8Array;
  /** The same bytes as words. */
  readonly words: Uint32Array;
  /** First byte of the unit. */
  unit: number;
  /** Row of the panel, 0 … 7. */
  readonly lane: number;
}

type PackUnit = (place: Place, source: Uint8Array, at: number) => void;

export function packBlocks(
  format: QuantizedWeightFormat,
  target: Uint8Array,
  panel: number,
  lane: number,
  source: Uint8Array,
  from: number,
  cols: number,
): void {
  const form = BLOCK_FORMS[format];
  const layout = blockLayout(form);
  const { bytes } = blockShape(format);
  const words = new Uint32Array(target.buffer, target.byteOffset, target.length >> 2);
  const place: Place = { form, layout, target, words, unit: panel, lane };
  const pack = packUnit[format];
  for (let units = cols / layout.unitColumns; units > 0; units--, from += bytes, place.unit += layout.unitBytes) {
    pack(place, source, from);
  }
}

const codes = new Uint8Array(256);
const codeWords = new Uint32Array(codes.buffer);
const NIBBLES = 0x0f0f0f0f;
const scales = new Uint8Array(8);
const mins = new Uint8Array(8);
const half = (source: Uint8Array, at: number) => halfToFloat(source[at] | (source[at + 1] << 8));

const packUnit: Readonly<Record<QuantizedWeightFormat, PackUnit>> = {
  Q8_0: (place, source, at) => {
    putHalf(place, 0, source, at);
    for (let i = 0; i < BLOCK / 4; i++) codeWords[i] = unsignedCodes(wordAt(source, at + 2 + 4 * i));
    putCodes(place, 0, 0);
  },
  Q4_0: (place, source, at) => {
    putHalf(place, 0, source, at);
    splitNibbles(source, at + 2, 16, 0);
    putCodes(place, 0, 0);
  },
  IQ4_NL: (place, source, at) => packUnit.Q4_0(place, source, at),
  Q4_1: (place, source, at) => {
    putHalf(place, 0, source, at);
    putHalf(place, place.layout.mins, source, at + 2);
    splitNibbles(source, at + 4, 16, 0);
    putCodes(place, 0, 0);
  },
  Q5_1: (place, source, at) => {
    putHalf(place, 0, source, at);
    putHalf(place, place.layout.mins, source, at + 2);
    unpackNibbles(source, at + 8, at + 4, codes);
    putCodes(place, 0, 0);
  },
  MXFP4: (place, source, at) => {
    place.target[place.unit + place.lane] = source[at];
    splitNibbles(source, at + 1, 16, 0);
    putCodes(place, 0, 0);
  },
  Q4_K: (place, source, at) => {
    for (let run = 0; run < 4; run++) splitNibbles(source, at + 16 + 32 * run, 32, 64 * run);
    packWithMins(place, source, at);
  },
  Q5_K: (place, source, at) => {
    unpackKCodes(source, at + 48, at + 16, codes);
    packWithMins(place, source, at);
  },
  Q6_K: (place, source, at) => {
    const { layout, target, unit, lane } = place;
    putFloat(place, 0, half(source, at + 208));
    unpackQ6Codes(source, at, codes);
    for (let b = 0; b < 8; b++) {
      const block = layout.headerBytes + b * layout.blockBytes;
      target[unit + block + lane] = source[at + 192 + 2 * b];
      target[unit + block + 8 + lane] = source[at + 193 + 2 * b];
      putCodes(place, block, BLOCK * b);
    }
  },
};

function packWithMins(place: Place, source: Uint8Array, at: number): void {
  const { layout, target, unit, lane } = place;
  putFloat(place, 0, half(source, at));
  putFloat(place, 32, -half(source, at + 2));
  unpackScalesAndMins(source, at + 4, scales, mins);
  for (let b = 0; b < 8; b++) {
    const block = layout.headerBytes + b * layout.blockBytes;
    target[unit + block + lane] = scales[b];
    target[unit + block + layout.mins + lane] = mins[b];
    putCodes(place, block, BLOCK * b);
  }
}

function putHalf({ target, unit, lane }: Place, offset: number, source: Uint8Array, at: number): void {
  target[unit + offset + 2 * lane] = source[at];
  target[unit + offset + 2 * lane + 1] = source[at + 1];
}

const float = new Float32Array(1);
const floatBytes = new Uint8Array(float.buffer);

function putFloat({ target, unit, lane }: Place, offset: number, value: number): void {
  float[0] = value;
  target.set(floatBytes, unit + offset + 4 * lane);
}

/** The 32 codes from `first` on, into the block at `block` of the unit. */
function putCodes({ form, layout, words, unit, lane }: Place, block: number, first: number): void {
  const to = (unit + block + layout.codes + 16 * (lane >> 2) + 4 * (lane & 3)) >> 2;
  const from = first >> 2;
  if (form.bits === 8) {
    for (let i = 0; i < 8; i++) words[to + 8 * i] = codeWords[from + i];
  } else {
    for (let i = 0; i < 4; i++) words[to + 8 * i] = codeWords[from + 2 * i] | (codeWords[from + 2 * i + 1] << 4);
  }
}

/** The low nibbles of `count` bytes become the codes from `first` on, the high ones those behind them. */
function splitNibbles(source: Uint8Array, at: number, count: number, first: number): void {
  for (let i = 0; i < count; i += 4) {
    const word = wordAt(source, at + i);
    codeWords[(first + i) >> 2] = word & NIBBLES;
    codeWords[(first + count + i) >> 2] = (word >>> 4) & NIBBLES;
  }
}

/**
 * Four signed bytes, 127 added to each. −128 exists in no file that ggml writes; it is taken as −127, so that the codes stay
 * in a byte.
 */
function unsignedCodes(word: number): number {
  const plus128 = word ^ 0x80808080;
  // The top bit of every byte that is zero, and must not borrow from its neighbour.
  const isZero = ~(((plus128 & 0x7f7f7f7f) + 0x7f7f7f7f) | plus128 | 0x7f7f7f7f);
  return plus128 - 0x01010101 + (isZero >>> 7);
}

function wordAt(source: Uint8Array, at: number): number {
  return source[at] | (source[at + 1] << 8) | (source[at + 2] << 16) | (source[at + 3] << 24);
}
