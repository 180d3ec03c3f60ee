/** What the device hands out: weights, tensors, constants and caches, each an address in linear memory. */

import type { BlockCopy, Constant, KvCache, KvFormat, KvShape, RowDomain, Tensor, Weight } from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { rowBytes, type WeightFormat } from '../formats.ts';
import type { Heap } from './heap.ts';
import { KV_ELEMENT_BYTES, panelBytes, panelCount } from './layout.ts';

/** Tensor rows and constants are padded with zeros to this many floats. */
const PADDING = 16;

function padded(floats: number): number {
  return PADDING * Math.ceil(floats / PADDING);
}

export class WasmWeight implements Weight {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly format: WeightFormat;
  readonly byteLength: number;
  readonly address: number;

  constructor(heap: Heap, shape: { name: string; rows: number; cols: number; format: WeightFormat }) {
    rowBytes(shape.format, shape.cols);
    this.name = shape.name;
    this.rows = shape.rows;
    this.cols = shape.cols;
    this.format = shape.format;
    this.byteLength = panelCount(shape.rows) * panelBytes(shape.format, shape.cols);
    this.address = heap.allocate(this.byteLength, `weight ${shape.name}`);
  }
}

/** Rows of `strideBytes`; the padding columns stay zero for ever, since no op writes there. */
export class WasmTensor implements Tensor {
  readonly name: string;
  readonly maxRows: number;
  readonly cols: number;
  readonly domain: RowDomain;
  readonly strideBytes: number;
  readonly address: number;
  #quantized: { address: number; bytes: number } | null = null;

  constructor(heap: Heap, shape: { name: string; maxRows: number; cols: number; domain?: RowDomain }) {
    this.name = shape.name;
    this.maxRows = shape.maxRows;
    this.cols = shape.cols;
    this.domain = shape.domain ?? 'tokens';
    this.strideBytes = 4 * padded(shape.cols);
    this.address = heap.allocate(this.strideBytes * shape.maxRows, `tensor ${shape.name}`);
  }

  /** Room for the 8-bit form of the tensor. */
  quantizedCopy(heap: Heap, bytes: number): number {
    if (!this.#quantized || this.#quantized.bytes < bytes) {
      this.#quantized = { address: heap.allocate(bytes, `8-bit form of ${this.name}`), bytes };
    }
    return this.#quantized.address;
  }
}

export class WasmConstant implements Constant {
  readonly name: string;
  readonly length: number;
  readonly address: number;

  constructor(heap: Heap, name: string, values: Float32Array) {
    this.name = name;
    this.length = values.length;
    this.address = heap.allocate(4 * padded(values.length), `constant ${name}`);
    heap.floats(this.address, values.length).set(values);
  }
}

/** Bytes of one block's keys (or values) in one layer. */
function pageBytes({ kvHeads, headDim, format = 'F32' }: KvShape): number {
  return KV_ELEMENT_BYTES[format] * KV_BLOCK_SIZE * kvHeads * headDim;
}

/** Bytes of one block over all layers, keys and values. */
export function kvBlockBytes(shape: KvShape): number {
  return 2 * shape.layers * pageBytes(shape);
}

/** Keys and values of every layer; layouts in `ops/rope-and-cache.ts`. */
export class WasmKvCache implements KvCache {
  readonly layers: number;
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly format: KvFormat;
  readonly byteLength: number;
  /** Address of each layer's keys and values. */
  readonly keys: number[];
  readonly values: number[];

  constructor(heap: Heap, shape: KvShape & { readonly blocks: number }) {
    this.layers = shape.layers;
    this.blocks = shape.blocks;
    this.kvHeads = shape.kvHeads;
    this.headDim = shape.headDim;
    this.format = shape.format ?? 'F32';
    this.byteLength = shape.blocks * kvBlockBytes(shape);
    const layer = (_: unknown, index: number) =>
      heap.allocate(shape.blocks * pageBytes(shape), `K/V cache of layer ${index}`);
    this.keys = Array.from({ length: shape.layers }, layer);
    this.values = Array.from({ length: shape.layers }, layer);
  }

  /** Copies the pages of one block to another, on the calling thread. */
  copyBlock(heap: Heap, { from, to }: BlockCopy): void {
    const bytes = pageBytes(this);
    for (const layer of [...this.keys, ...this.values]) {
      heap.bytes(layer + to * bytes, bytes).set(heap.bytes(layer + from * bytes, bytes));
    }
  }
}
