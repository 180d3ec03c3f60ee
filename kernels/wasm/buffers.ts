/**
 * What the device hands out: weights, tensors, constants and caches. A weight and a layer's keys and values lie in one of
 * the memories; tensors and constants have an address in every memory where they are used, and `address` is the one in
 * the memory that is recorded for.
 */

import type {
  BlockCopy,
  Constant,
  KvCache,
  KvFormat,
  KvShape,
  Routes,
  RowDomain,
  StepInput,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { rowBytes, type WeightFormat } from '../formats.ts';
import type { Heap } from './heap.ts';
import { KV_ELEMENT_BYTES, KV_PAGE_HEADER, panelBytes, panelCount } from './layout.ts';
import type { Memories, Place } from './memories.ts';
import { GROUP_BYTES } from './ops/linear.ts';

/** Tensor rows and constants are padded with zeros to this many floats. */
const PADDING = 16;

function padded(floats: number): number {
  return PADDING * Math.ceil(floats / PADDING);
}

export class WasmWeight implements Weight {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly matrices: number;
  readonly format: WeightFormat;
  readonly byteLength: number;
  readonly heap: Heap;
  readonly address: number;

  constructor(memories: Memories, shape: WeightShape) {
    rowBytes(shape.format, shape.cols);
    this.name = shape.name;
    this.rows = shape.rows;
    this.cols = shape.cols;
    this.matrices = shape.matrices ?? 1;
    this.format = shape.format;
    this.byteLength = this.matrices * this.matrixBytes;
    const { heap, address } = memories.placeWeight(this.byteLength, `weight ${shape.name}`);
    this.heap = heap;
    this.address = address;
  }

  /** Bytes of one matrix: each begins with a panel of its own. */
  get matrixBytes(): number {
    return panelCount(this.rows / this.matrices) * panelBytes(this.format, this.cols);
  }
}

/** What follows the ops from memory to memory. */
export interface Movable {
  addressIn(heap: Heap): number;
  /** Bytes that a step leaves there. */
  usedBytes(step: StepInput): number;
}

/** Rows of `strideBytes`; the padding columns stay zero for ever, since no op writes there. */
export class WasmTensor implements Tensor, Movable {
  readonly name: string;
  readonly maxRows: number;
  readonly cols: number;
  readonly domain: RowDomain;
  readonly perRow: number;
  readonly strideBytes: number;
  readonly #memories: Memories;
  readonly #addresses = new Map<Heap, number>();
  readonly #quantized = new Map<Heap, { readonly address: number; readonly bytes: number }>();

  constructor(memories: Memories, shape: TensorShape) {
    this.name = shape.name;
    this.maxRows = shape.maxRows;
    this.cols = shape.cols;
    this.domain = shape.domain ?? 'tokens';
    this.perRow = shape.perRow ?? 1;
    this.strideBytes = 4 * padded(shape.cols);
    this.#memories = memories;
    this.addressIn(memories.current);
  }

  get address(): number {
    return this.addressIn(this.#memories.current);
  }

  addressIn(heap: Heap): number {
    let address = this.#addresses.get(heap);
    if (address === undefined) {
      address = heap.allocate(this.strideBytes * this.maxRows, `tensor ${this.name}`);
      this.#addresses.set(heap, address);
    }
    return address;
  }

  usedBytes({ tokens, logitRows }: StepInput): number {
    return this.strideBytes * this.perRow * (this.domain === 'tokens' ? tokens : logitRows).length;
  }

  /** Room for the 8-bit form of the tensor in the memory that is recorded for. */
  quantizedCopy(bytes: number): number {
    const heap = this.#memories.current;
    let copy = this.#quantized.get(heap);
    if (!copy || copy.bytes < bytes) {
      copy = { address: heap.allocate(bytes, `8-bit form of ${this.name}`), bytes };
      this.#quantized.set(heap, copy);
    }
    return copy.address;
  }
}

export class WasmConstant implements Constant {
  readonly name: string;
  readonly length: number;
  readonly #memories: Memories;
  readonly #addresses = new Map<Heap, number>();

  constructor(memories: Memories, name: string, values: Float32Array) {
    this.name = name;
    this.length = values.length;
    this.#memories = memories;
    this.#put(values);
  }

  get address(): number {
    const address = this.#addresses.get(this.#memories.current);
    if (address !== undefined) return address;
    const [[heap, first]] = this.#addresses;
    return this.#put(heap.floats(first, this.length));
  }

  #put(values: Float32Array): number {
    const heap = this.#memories.current;
    const address = heap.allocate(4 * padded(values.length), `constant ${this.name}`);
    heap.floats(address, values.length).set(values);
    this.#addresses.set(heap, address);
    return address;
  }
}

/** The routes of a step, in every memory where they are used; see `ops/routes.ts`. */
export class WasmRoutes implements Routes, Movable {
  readonly experts: number;
  readonly perToken: number;
  readonly #memories: Memories;
  readonly #routes: number;
  readonly #addresses = new Map<Heap, number>();

  constructor(memories: Memories, { experts, perToken }: { experts: number; perToken: number }, limits: StepLimits) {
    this.experts = experts;
    this.perToken = perToken;
    this.#memories = memories;
    this.#routes = limits.maxRows * perToken;
  }

  /** Addresses of words or floats, one for each route, and of the table of groups and of words to count experts with. */
  get addresses() {
    const chosen = this.addressIn(this.#memories.current);
    const array = 4 * this.#routes;
    const groups = chosen + 3 * array;
    return {
      chosen,
      weights: chosen + array,
      places: chosen + 2 * array,
      groups,
      counts: groups + 4 + this.experts * GROUP_BYTES,
    };
  }

  addressIn(heap: Heap): number {
    let address = this.#addresses.get(heap);
    if (address === undefined) {
      address = heap.allocate(this.usedBytes(), 'routes');
      this.#addresses.set(heap, address);
    }
    return address;
  }

  usedBytes(): number {
    return 4 * (3 * this.#routes + 1 + this.experts) + this.experts * GROUP_BYTES;
  }
}

/** Bytes of one block's keys (or values) in one layer. */
function pageBytes({ kvHeads, headDim, format = 'F32' }: KvShape): number {
  return kvHeads * (KV_PAGE_HEADER[format] + KV_ELEMENT_BYTES[format] * KV_BLOCK_SIZE * headDim);
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
  readonly #memories: Memories;
  readonly #layerBytes: number;
  /** Where a layer's keys lie, and its values behind them; a layer finds its place when it is first recorded. */
  readonly #places: (Place | undefined)[];

  /** @throws DeviceError when a layer's keys and values exceed a memory. */
  constructor(memories: Memories, shape: KvShape & { readonly blocks: number }) {
    this.layers = shape.layers;
    this.blocks = shape.blocks;
    this.kvHeads = shape.kvHeads;
    this.headDim = shape.headDim;
    this.format = shape.format ?? 'F32';
    this.byteLength = shape.blocks * kvBlockBytes(shape);
    this.#memories = memories;
    this.#layerBytes = shape.blocks * pageBytes(shape);
    this.#places = new Array(shape.layers).fill(undefined);
    memories.checkPages(2 * this.#layerBytes, 'K/V cache of a layer');
  }

  /** The memory of a layer: the one that is recorded for when it is first asked for, if that has room. */
  heapOf(layer: number): Heap {
    return this.#placeOf(layer).heap;
  }

  keysOf(layer: number): number {
    return this.#placeOf(layer).address;
  }

  valuesOf(layer: number): number {
    return this.#placeOf(layer).address + this.#layerBytes;
  }

  #placeOf(layer: number): Place {
    this.#places[layer] ??= this.#memories.placePages(2 * this.#layerBytes, `K/V cache of layer ${layer}`);
    return this.#places[layer];
  }

  /** Copies the pages of one block to another, on the calling thread. */
  copyBlock({ from, to }: BlockCopy): void {
    const bytes = pageBytes(this);
    for (const place of this.#places) {
      if (place === undefined) continue;
      for (const pages of [place.address, place.address + this.#layerBytes]) {
        place.heap.bytes(pages + to * bytes, bytes).set(place.heap.bytes(pages + from * bytes, bytes));
      }
    }
  }
}
