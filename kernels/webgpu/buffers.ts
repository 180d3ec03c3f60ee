/** What the device hands out: weights, tensors, constants and caches, each in buffers of its own. */

import { rowsToWrite } from '../checks.ts';
import type {
  BlockCopy,
  Constant,
  KvCache,
  KvFormat,
  KvShape,
  Routes,
  RowDomain,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import { type FileFormat, rowBytes, type WeightFormat } from '../formats.ts';
import { type Gpu, type GpuMemory, STORAGE, USAGE } from './gpu.ts';
import { BLOCK, blocksOf, packRows, rowVectors } from './layout.ts';

/** Consecutive rows of a weight: rows `base …` of a buffer. */
export interface WeightPart {
  /** First row of the weight that it holds. */
  readonly firstRow: number;
  readonly rows: number;
  buffer: GPUBuffer;
  base: number;
  /** A plan refers to the buffer, so that it must stay where it is. */
  bound: boolean;
}

/** A weight in as many buffers as the adapter's limit on a binding asks for, mostly one. */
export class WebGpuWeight implements Weight {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly matrices: number;
  readonly format: WeightFormat;
  /** Vectors of 16 bytes a row. */
  readonly vectors: number;
  readonly parts: readonly WeightPart[];

  constructor(gpu: Gpu, memory: GpuMemory, shape: WeightShape) {
    rowBytes(shape.format, shape.cols);
    this.name = shape.name;
    this.rows = shape.rows;
    this.cols = shape.cols;
    this.matrices = shape.matrices ?? 1;
    this.format = shape.format;
    this.vectors = rowVectors(this.format, shape.cols);
    const perPart = Math.floor(gpu.limits.bufferBytes / this.rowBytes);
    if (perPart === 0) throw new DeviceError(`weight ${shape.name}: a row of ${this.rowBytes} bytes exceeds a buffer`);
    const parts: WeightPart[] = [];
    for (let firstRow = 0; firstRow < shape.rows; firstRow += perPart) {
      const rows = Math.min(perPart, shape.rows - firstRow);
      const buffer = memory.allocate(rows * this.rowBytes, `weight ${shape.name}`);
      parts.push({ firstRow, rows, buffer, base: 0, bound: false });
    }
    this.parts = parts;
  }

  get rowBytes(): number {
    return 16 * this.vectors;
  }

  get byteLength(): number {
    return this.rows * this.rowBytes;
  }

  /** Queues the upload of rows in file layout; gives the bytes queued. */
  write(queue: GPUQueue, firstRow: number, data: Uint8Array, sourceFormat: FileFormat): number {
    const rows = rowsToWrite(this, firstRow, data, sourceFormat);
    const packed = packRows(this.format, this.cols, data, sourceFormat);
    for (const part of this.parts) {
      const from = Math.max(firstRow, part.firstRow);
      const to = Math.min(firstRow + rows, part.firstRow + part.rows);
      if (from >= to) continue;
      const at = (part.base + from - part.firstRow) * this.rowBytes;
      queue.writeBuffer(part.buffer, at, packed, (from - firstRow) * this.rowBytes, (to - from) * this.rowBytes);
    }
    return packed.length;
  }

  /** Repeats the rows of `pattern`, a weight of the same width and format, from the first row to the last. */
  fill(encoder: GPUCommandEncoder, pattern: WebGpuWeight): void {
    const [{ buffer, base, rows }] = pattern.parts;
    for (const part of this.parts) {
      for (let row = 0; row < part.rows; row += rows) {
        const bytes = this.rowBytes * Math.min(rows, part.rows - row);
        const to = (part.base + row) * this.rowBytes;
        encoder.copyBufferToBuffer(buffer, base * this.rowBytes, part.buffer, to, bytes);
      }
    }
  }
}

/** Rows that workgroups hand over, and one of counts. */
const HANDOVER_ROWS = 9;

/** Rows of `stride` floats; the padding columns stay zero for ever, since no kernel writes there. */
export class WebGpuTensor implements Tensor {
  readonly name: string;
  readonly maxRows: number;
  readonly cols: number;
  readonly domain: RowDomain;
  readonly perRow: number;
  readonly stride: number;
  readonly buffer: GPUBuffer;
  /** Where, behind the rows, workgroups hand over what the last of them ends; see `shaders/last-group.wgsl`. */
  readonly handover: number | undefined;
  #quantized: { codes: GPUBuffer; scales: GPUBuffer } | undefined;

  constructor(memory: GpuMemory, shape: TensorShape) {
    this.name = shape.name;
    this.maxRows = shape.maxRows;
    this.cols = shape.cols;
    this.domain = shape.domain ?? 'tokens';
    this.perRow = shape.perRow ?? 1;
    this.stride = BLOCK * blocksOf(shape.cols);
    const bytes = (rows: number) => 4 * this.stride * rows;
    const withHandover = shape.maxRows + HANDOVER_ROWS;
    const hasRoom = this.domain === 'tokens' && this.perRow === 1 && bytes(withHandover) <= memory.bufferBytes;
    this.buffer = memory.allocate(bytes(hasRoom ? withHandover : shape.maxRows), `tensor ${shape.name}`);
    this.handover = hasRoom ? this.stride * this.maxRows : undefined;
  }

  /** Room for the 8-bit form of the tensor: codes and a scale for each block of 32 columns. */
  quantizedCopy(memory: GpuMemory): { codes: GPUBuffer; scales: GPUBuffer } {
    this.#quantized ??= {
      codes: memory.allocate(this.stride * this.maxRows, `8-bit form of ${this.name}`),
      scales: memory.allocate((4 * this.stride * this.maxRows) / BLOCK, `scales of ${this.name}`),
    };
    return this.#quantized;
  }
}

/** The routes of a step: route j of row r is number r · perToken + j, everywhere. */
export class WebGpuRoutes implements Routes {
  readonly experts: number;
  readonly perToken: number;
  /** u32 and f32 `[tokens, perToken]` */
  readonly chosen: GPUBuffer;
  readonly weights: GPUBuffer;

  constructor(memory: GpuMemory, shape: { experts: number; perToken: number }, { maxRows }: StepLimits) {
    this.experts = shape.experts;
    this.perToken = shape.perToken;
    this.chosen = memory.allocate(4 * maxRows * shape.perToken, 'routes');
    this.weights = memory.allocate(4 * maxRows * shape.perToken, 'routes');
  }
}

/** Floats of a constant that a kernel may bind as a uniform on every adapter. */
const MAX_UNIFORM_LENGTH = 16384;

export class WebGpuConstant implements Constant {
  readonly name: string;
  readonly length: number;
  readonly buffer: GPUBuffer;

  constructor(gpu: Gpu, memory: GpuMemory, name: string, values: Float32Array) {
    this.name = name;
    this.length = values.length;
    this.buffer = memory.allocate(values.byteLength, `constant ${name}`, STORAGE | USAGE.UNIFORM);
    gpu.device.queue.writeBuffer(this.buffer, 0, values.slice());
  }

  /** Kernels bind it as a uniform where they have no storage binding left. */
  get isUniform(): boolean {
    return this.length <= MAX_UNIFORM_LENGTH;
  }
}

/** Bytes of an element of keys and values, and of a position's scale. */
const KV_BYTES: Readonly<Record<KvFormat, readonly [element: number, scale: number]>> = {
  F32: [4, 0],
  F16: [2, 0],
  I8: [1, 4],
};

/** Bytes of one block's keys (or values) in one layer. */
function pageBytes({ kvHeads, headDim, format = 'F32' }: KvShape): number {
  const [element, scale] = KV_BYTES[format];
  return KV_BLOCK_SIZE * kvHeads * (headDim * element + scale);
}

/** Bytes of one block over all layers, keys and values. */
export function kvBlockBytes(shape: KvShape): number {
  return 2 * shape.layers * pageBytes(shape);
}

/** What the attention kernels have room for in the 16 KiB that every adapter grants a workgroup. */
const MAX_HEAD_DIM = 320;

/** Keys and values of every layer; layouts in `shaders/cache-*.wgsl`. */
export class WebGpuKvCache implements KvCache {
  readonly layers: number;
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly format: KvFormat;
  readonly byteLength: number;
  readonly keys: readonly GPUBuffer[];
  readonly values: readonly GPUBuffer[];
  /** One page, on its way from one block to another: a buffer cannot be copied to itself. */
  readonly #page: GPUBuffer;

  constructor(memory: GpuMemory, shape: KvShape & { readonly blocks: number }) {
    if (shape.headDim % 4 !== 0) {
      throw new DeviceError(`K/V cache: headDim ${shape.headDim} must be a multiple of 4 on the webgpu device`);
    }
    if (shape.headDim > MAX_HEAD_DIM) {
      throw new DeviceError(
        `K/V cache: headDim ${shape.headDim} does not fit a workgroup's memory; expected at most ${MAX_HEAD_DIM}`,
      );
    }
    this.layers = shape.layers;
    this.blocks = shape.blocks;
    this.kvHeads = shape.kvHeads;
    this.headDim = shape.headDim;
    this.format = shape.format ?? 'F32';
    this.byteLength = shape.blocks * kvBlockBytes(shape);
    const layer = (_: unknown, index: number) =>
      memory.allocate(shape.blocks * pageBytes(shape), `K/V cache of layer ${index}`);
    this.keys = Array.from({ length: shape.layers }, layer);
    this.values = Array.from({ length: shape.layers }, layer);
    this.#page = memory.allocate(pageBytes(shape), 'K/V page');
  }

  copyBlock(encoder: GPUCommandEncoder, { from, to }: BlockCopy): void {
    if (from === to) return;
    const bytes = pageBytes(this);
    for (const layer of [...this.keys, ...this.values]) {
      encoder.copyBufferToBuffer(layer, from * bytes, this.#page, 0, bytes);
      encoder.copyBufferToBuffer(this.#page, 0, layer, to * bytes, bytes);
    }
  }
}
