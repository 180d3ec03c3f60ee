/** The kernels' cases: each op at the shapes of a decode step (1 row), small batches and a prompt. */

import {
  blockShape,
  type Constant,
  type Device,
  type OpRecorder,
  type StepInput,
  WEIGHT_FORMATS,
  type WeightFormat,
} from '../../kernels/index.ts';
import { tileKey } from '../../kernels/webgpu/tuned-tiles.ts';
import type { BenchDevice } from './bench-device.ts';

/** The sizes of a model that kernels depend on. */
export interface Shape {
  readonly hidden: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocab: number;
}

export const KERNEL_SHAPES: Readonly<Record<string, Shape>> = {
  '0.5b': { hidden: 896, feedForward: 4864, heads: 14, kvHeads: 2, headDim: 64, vocab: 151_936 },
  '1.5b': { hidden: 1536, feedForward: 8960, heads: 12, kvHeads: 2, headDim: 128, vocab: 151_936 },
  '7b': { hidden: 4096, feedForward: 14_336, heads: 32, kvHeads: 8, headDim: 128, vocab: 32_000 },
};

/** One kernel at one size. */
export interface KernelCase {
  readonly name: string;
  readonly rows: number;
  /** Position of the first row; the others follow. */
  readonly position?: number;
  /** Every row is the last of a sequence of its own, all of them at `position`. */
  readonly isBatch?: boolean;
  /** Times that `record` records the kernel. */
  readonly copies: number;
  readonly record: (ops: OpRecorder) => void;
  /** Weights that a tile is chosen for. */
  readonly tileKey?: string;
  /** Of one call of the kernel, for all rows. */
  readonly macs?: number;
  readonly bytes?: number;
}

/** Cases that share their operands, which are made when it is their turn and go with the device. */
export interface CaseGroup {
  readonly name: string;
  readonly cases: (bench: BenchDevice) => Promise<KernelCase[]>;
}

export const MAX_ROWS = 512;
const CONTEXT = 4096;
/** Sequences that are decoded together, and positions that each sees. */
const BATCH = 16;
const BATCH_CONTEXT = 2048;
/** Of one kernel in a row. */
const COPIES = 50;

export interface CaseOptions {
  readonly shape: Shape;
  /** Row counts of the linear kernels. */
  readonly rows: readonly number[];
  /** Bytes of weights used in turn: more than the last-level cache holds. */
  readonly weightBytes: number;
  /** Only the widest matrix, rather than each of a layer. */
  readonly widest: boolean;
}

export function caseGroups(options: CaseOptions): CaseGroup[] {
  return [
    ...WEIGHT_FORMATS.map((format) => ({
      name: `linear ${format}`,
      cases: (bench: BenchDevice) => linearCases(bench, format, options),
    })),
    { name: 'norm, gatedActivation', cases: ({ device }) => rowCases(device, options.shape) },
    { name: 'ropeAndCache, attention', cases: ({ device }) => attentionCases(device, options.shape) },
    { name: 'batch attention', cases: ({ device }) => batchCases(device, options) },
  ];
}

async function linearCases(bench: BenchDevice, format: WeightFormat, options: CaseOptions): Promise<KernelCase[]> {
  const { hidden, feedForward, heads, kvHeads, headDim, vocab } = options.shape;
  const matrices = [
    { name: 'gateUp', outs: 2 * feedForward, cols: hidden },
    { name: 'down', outs: hidden, cols: feedForward },
    { name: 'qkv', outs: (heads + 2 * kvHeads) * headDim, cols: hidden },
    { name: 'output', outs: hidden, cols: heads * headDim },
    { name: 'head', outs: vocab, cols: hidden },
  ];
  const { device } = bench;
  const list: KernelCase[] = [];
  for (const { name, outs, cols: width } of options.widest ? matrices.slice(0, 1) : matrices) {
    const { elements } = blockShape(format);
    const cols = Math.ceil(width / elements) * elements;
    const x = device.createTensor({ name: 'x', maxRows: MAX_ROWS, cols });
    const out = device.createTensor({ name: 'out', maxRows: name === 'head' ? 16 : MAX_ROWS, cols: outs });
    const weights = [];
    for (let bytes = 0; bytes < options.weightBytes || weights.length < 2; bytes += weights[0].byteLength) {
      const weight = device.createWeight({ name, rows: outs, cols, format });
      await bench.fill(weight);
      weights.push(weight);
    }
    for (const rows of options.rows.filter((count) => count <= out.maxRows)) {
      // Of a prompt's kernel a few calls tell enough; weights of a decode step must not come from a cache.
      const used = rows > 16 ? weights.slice(0, 2) : weights;
      list.push({
        name: `linear ${format} ${name} ${outs}×${cols}`,
        rows,
        tileKey: tileKey(format, outs, cols),
        copies: used.length,
        macs: rows * outs * cols,
        bytes: weights[0].byteLength,
        record: (ops) => used.forEach((weight) => ops.linear({ x, weights: [weight], out })),
      });
    }
  }
  return list;
}

async function rowCases(device: Device, { hidden, feedForward }: Shape): Promise<KernelCase[]> {
  const tensor = (cols: number) => device.createTensor({ name: 'rows', maxRows: MAX_ROWS, cols });
  const [x, add, normed, gateUp, activated] = [hidden, hidden, hidden, 2 * feedForward, feedForward].map(tensor);
  const weight = ones(device, hidden);
  return [1, MAX_ROWS].flatMap((rows) => [
    {
      name: 'norm',
      rows,
      copies: COPIES,
      bytes: 4 * 4 * rows * hidden,
      record: repeated(COPIES, (ops) => ops.norm({ x, add, weight, eps: 1e-6, out: normed })),
    },
    {
      name: 'gatedActivation',
      rows,
      copies: COPIES,
      bytes: 3 * 4 * rows * feedForward,
      record: repeated(COPIES, (ops) => ops.gatedActivation({ x: gateUp, activation: 'silu', out: activated })),
    },
  ]);
}

async function attentionCases(device: Device, { heads, kvHeads, headDim }: Shape): Promise<KernelCase[]> {
  const qkv = device.createTensor({ name: 'qkv', maxRows: MAX_ROWS, cols: (heads + 2 * kvHeads) * headDim });
  const out = device.createTensor({ name: 'attended', maxRows: MAX_ROWS, cols: heads * headDim });
  const cache = device.createKvCache({ layers: 1, blocks: CONTEXT / 16, kvHeads, headDim });
  const rope = ones(device, CONTEXT * headDim);
  const ropeAndCache = (ops: OpRecorder) => ops.ropeAndCache({ qkv, heads, rotaryDim: headDim, rope, cache, layer: 0 });
  return [
    [1, 63],
    [1, 511],
    [1, CONTEXT - 1],
    [MAX_ROWS, 0],
    [MAX_ROWS, CONTEXT - MAX_ROWS],
  ].flatMap(([rows, position]) => {
    const seen = rows * position + (rows * (rows + 1)) / 2;
    const copies = rows === 1 ? COPIES : 2;
    return [
      { name: `ropeAndCache at ${position}`, rows, position, copies: COPIES, record: repeated(COPIES, ropeAndCache) },
      {
        name: `attention from ${position}`,
        rows,
        position,
        copies,
        macs: 2 * heads * headDim * seen,
        bytes: rows === 1 ? 8 * kvHeads * headDim * seen : undefined,
        record: (ops: OpRecorder) => {
          // The K/V cache's blocks are checked by the op that writes it.
          ropeAndCache(ops);
          repeated(copies, (one) => one.attention({ qkv, heads, scale: 0.125, cache, layer: 0, out }))(ops);
        },
      },
    ];
  });
}

/** One token for each of several sequences, whose keys and values are more than the last-level cache holds. */
async function batchCases(device: Device, { shape, weightBytes }: CaseOptions): Promise<KernelCase[]> {
  const { heads, kvHeads, headDim } = shape;
  const qkv = device.createTensor({ name: 'qkv', maxRows: MAX_ROWS, cols: (heads + 2 * kvHeads) * headDim });
  const out = device.createTensor({ name: 'attended', maxRows: MAX_ROWS, cols: heads * headDim });
  const seen = BATCH * BATCH_CONTEXT;
  const list: KernelCase[] = [];
  for (const format of ['F32', 'F16', 'I8'] as const) {
    const layerBytes = device.kvBlockBytes({ layers: 1, kvHeads, headDim, format }) * (seen / 16);
    const layers = Math.ceil(weightBytes / layerBytes);
    const cache = device.createKvCache({ layers, blocks: seen / 16, kvHeads, headDim, format });
    const write = (ops: OpRecorder) => {
      for (let layer = 0; layer < layers; layer++) ops.ropeAndCache({ qkv, heads, rotaryDim: 0, cache, layer });
    };
    // Memory that was never written is one page of zeros, which any cache holds.
    const writing = device.record(MAX_ROWS, write);
    for (let position = 0; position < BATCH_CONTEXT; position++) {
      await device.run(writing, stepOf(BATCH, position, true));
    }
    list.push({
      name: `batch attention ${format} at ${BATCH_CONTEXT - 1}`,
      rows: BATCH,
      position: BATCH_CONTEXT - 1,
      isBatch: true,
      copies: layers,
      macs: 2 * heads * headDim * seen,
      bytes: layerBytes,
      record: (ops) => {
        write(ops);
        for (let layer = 0; layer < layers; layer++) {
          ops.attention({ qkv, heads, scale: 0.125, cache, layer, out });
        }
      },
    });
  }
  return list;
}

/** @param isBatch  whether each row is of a sequence of its own, rather than all of one */
export function stepOf(rows: number, position: number, isBatch = false): StepInput {
  const indices = Array.from({ length: rows }, (_, i) => i);
  const blocks = (isBatch ? BATCH_CONTEXT : CONTEXT) / 16;
  return {
    tokens: indices.map(() => 0),
    positions: indices.map((i) => (isBatch ? position : position + i)),
    slots: indices.map((i) => (isBatch ? i : 0)),
    // The sequences grew side by side.
    blockTables: Array.from({ length: isBatch ? rows : 1 }, (_, s) =>
      Array.from({ length: blocks }, (_, i) => (isBatch ? i * rows + s : i)),
    ),
    logitRows: [0],
  };
}

export const STEP_LIMITS = { maxRows: MAX_ROWS, maxLogitRows: 1, maxSlots: BATCH, maxBlocksPerSlot: CONTEXT / 16 };

function ones(device: Device, length: number): Constant {
  return device.createConstant('ones', new Float32Array(length).fill(1));
}

function repeated(times: number, record: (ops: OpRecorder) => void): (ops: OpRecorder) => void {
  return (ops) => {
    for (let i = 0; i < times; i++) record(ops);
  };
}
