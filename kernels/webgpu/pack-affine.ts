/**
 * Weight rows of codes, scales and mins as they lie in GPU buffers: code vectors first, then what the format's
 * `factors-*.wgsl` reads.
 */

import { unpackKCodes, unpackNibbles, unpackQ6Codes } from '../decode-blocks.ts';
import { blockShape, type QuantizedWeightFormat } from '../formats.ts';

export type AffineFormat = Exclude<QuantizedWeightFormat, 'Q8_0' | 'Q4_0'>;

interface AffineLayout {
  /** Code vectors of 16 bytes a block of 32 columns: nibbles or bytes. */
  readonly codeVectors: 1 | 2;
  /** Vectors behind the codes of a row. */
  readonly factorVectors: (blocks: number) => number;
  /** Fills the codes of a file block, `[elements]`, and writes its factors: block `index` of the row. */
  readonly unpack: (source: Uint8Array, at: number, codes: Int8Array, factors: Factors) => void;
}

/** Where the factors of a row go. */
interface Factors {
  readonly target: Uint8Array;
  /** First byte behind the row's codes. */
  readonly start: number;
  /** Number of the file's block in the row, and how many there are. */
  index: number;
  readonly count: number;
}

const bytes = new Uint8Array(256);

function nibbles(source: Uint8Array, qs: number, qh: number, codes: Int8Array): void {
  unpackNibbles(source, qs, qh, bytes);
  codes.set(bytes.subarray(0, 32));
}

function copy(source: Uint8Array, at: number, length: number, { target, start }: Factors, to: number): void {
  target.set(source.subarray(at, at + length), start + to);
}

const inVectors = (bytesEach: number) => (blocks: number) => Math.ceil((bytesEach * blocks) / 16);
/** One vector for each eight blocks. */
const headers = (blocks: number) => blocks / 8;

export const AFFINE_LAYOUTS: Readonly<Record<AffineFormat, AffineLayout>> = {
  IQ4_NL: {
    codeVectors: 1,
    factorVectors: inVectors(2),
    unpack(source, at, codes, factors) {
      nibbles(source, at + 2, -1, codes);
      copy(source, at, 2, factors, 2 * factors.index);
    },
  },
  MXFP4: {
    codeVectors: 1,
    factorVectors: inVectors(2),
    unpack(source, at, codes, factors) {
      nibbles(source, at + 1, -1, codes);
      copy(source, at, 1, factors, 2 * factors.index);
    },
  },
  Q4_1: {
    codeVectors: 1,
    factorVectors: inVectors(4),
    unpack(source, at, codes, factors) {
      nibbles(source, at + 4, -1, codes);
      copy(source, at, 4, factors, 4 * factors.index);
    },
  },
  Q5_1: {
    codeVectors: 2,
    factorVectors: inVectors(4),
    unpack(source, at, codes, factors) {
      nibbles(source, at + 8, at + 4, codes);
      copy(source, at, 4, factors, 4 * factors.index);
    },
  },
  Q4_K: {
    codeVectors: 1,
    factorVectors: headers,
    unpack(source, at, codes, factors) {
      unpackKCodes(source, at + 16, -1, bytes);
      codes.set(bytes);
      copy(source, at, 16, factors, 16 * factors.index);
    },
  },
  Q5_K: {
    codeVectors: 2,
    factorVectors: headers,
    unpack(source, at, codes, factors) {
      unpackKCodes(source, at + 48, at + 16, bytes);
      codes.set(bytes);
      copy(source, at, 16, factors, 16 * factors.index);
    },
  },
  Q6_K: {
    codeVectors: 2,
    factorVectors: (blocks) => headers(blocks) + Math.ceil(headers(blocks) / 8),
    unpack(source, at, codes, factors) {
      unpackQ6Codes(source, at, bytes);
      for (let i = 0; i < 256; i++) codes[i] = bytes[i] - 32;
      copy(source, at + 192, 16, factors, 16 * factors.index);
      copy(source, at + 208, 2, factors, 16 * factors.count + 2 * factors.index);
    },
  },
};

/** Puts one row of file blocks to `at` of the target. */
export function packAffineRow(format: AffineFormat, target: Uint8Array, at: number, row: Uint8Array): void {
  const { codeVectors, unpack } = AFFINE_LAYOUTS[format];
  const { elements, bytes: fileBytes } = blockShape(format);
  const count = row.length / fileBytes;
  const codes = new Int8Array(elements);
  const blockBytes = 16 * codeVectors;
  const factors: Factors = { target, start: at + ((count * elements) / 32) * blockBytes, index: 0, count };
  let to = at;
  for (; factors.index < count; factors.index++) {
    unpack(row, factors.index * fileBytes, codes, factors);
    for (let first = 0; first < elements; first += 32, to += blockBytes) {
      if (codeVectors === 2) for (let i = 0; i < 32; i++) target[to + i] = codes[first + i];
      else for (let i = 0; i < 16; i++) target[to + i] = codes[first + i] | (codes[first + 16 + i] << 4);
    }
  }
}
