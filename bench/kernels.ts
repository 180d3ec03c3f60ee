/**
 * Each kernel of the wasm device alone, at the shapes of a decode step (1 row), a small batch and a prompt (512 rows).
 *
 * What a row costs beside what bounds it: GB/s of weights or keys and values against the read bandwidth measured in the
 * same run, GMAC/s a thread for products. Weights of several copies are used in turn, so that no cache holds them.
 *
 *   npm run bench -- kernels                        all kernels, 1 thread, shapes of Qwen2.5-0.5B
 *   npm run bench -- kernels --only "linear Q4_0" --threads 2 --dots wide
 */

import { parseArgs } from 'node:util';
import {
  type Constant,
  type OpRecorder,
  quantize,
  type StepInput,
  WasmDevice,
  WEIGHT_FORMATS,
} from '../kernels/index.ts';
import type { DotMethods } from '../kernels/wasm/features.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    threads: { type: 'string', default: '1' },
    dots: { type: 'string' },
    repeat: { type: 'string', default: '7' },
  },
});
const DOTS: Record<string, DotMethods> = {
  wide: { Q8_0: 'wide', Q4_0: 'wide' },
  dot16: { Q8_0: 'wide', Q4_0: 'dot16' },
  dot32: { Q8_0: 'dot32', Q4_0: 'dot32' },
  bytes: { Q8_0: 'bytes', Q4_0: 'dot32' },
};
const threads = Number(options.threads);
const device = await WasmDevice.create({ threads, dotMethods: options.dots ? DOTS[options.dots] : undefined });

const [HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, HEAD_DIM] = [896, 4864, 14, 2, 64];
const [ROWS, CONTEXT] = [512, 4096];
/** More than the last-level cache holds. */
const WEIGHT_BYTES = 128 * 2 ** 20;
device.setStepLimits({ maxRows: ROWS, maxLogitRows: 1, maxSlots: 1, maxBlocksPerSlot: CONTEXT / 16 });
const bandwidth = await device.readBandwidth(2 * WEIGHT_BYTES, 10);

interface Case {
  name: string;
  rows: number;
  /** Position of the first row; the others follow. */
  position?: number;
  /** Times that `record` records the kernel. */
  copies: number;
  record: (ops: OpRecorder) => void;
  /** Of one call of the kernel, for all rows. */
  macs?: number;
  bytes?: number;
}

const results: { name: string; rows: number; microseconds: number; gmacPerThread?: number; gigabytes?: number }[] = [];
for (const one of await cases()) {
  if (!one.name.includes(options.only)) continue;
  const plan = device.record(ROWS, one.record);
  const step = stepOf(one.rows, one.position ?? 0);
  const times: number[] = [];
  for (let i = 0; i < 3 + Number(options.repeat); i++) {
    const start = performance.now();
    await device.run(plan, step);
    if (i >= 3) times.push((performance.now() - start) / one.copies);
  }
  const milliseconds = median(times);
  results.push({
    name: one.name,
    rows: one.rows,
    microseconds: rounded(1000 * milliseconds),
    gmacPerThread: one.macs && rounded(one.macs / milliseconds / 1e6 / threads),
    gigabytes: one.bytes && rounded(one.bytes / milliseconds / 1e6),
  });
}
await device.close();

console.log(
  `${device.description}; ${machine().cpu}, Node ${process.version}; read bandwidth ${rounded(bandwidth)} GB/s\n`,
);
printTable(
  ['kernel', 'rows', 'µs', 'GMAC/s·thread', 'GB/s'],
  results.map((r) => [r.name, r.rows, r.microseconds, r.gmacPerThread ?? '', r.gigabytes ?? '']),
);
console.log(
  `\n${JSON.stringify({ bench: 'kernels', ...machine(), threads, device: device.description, bandwidth, results })}`,
);

async function cases(): Promise<Case[]> {
  const list: Case[] = [];
  const tensor = (name: string, cols: number) => device.createTensor({ name, maxRows: ROWS, cols });
  const constant = (length: number): Constant => device.createConstant('ones', new Float32Array(length).fill(1));
  const [hidden, normed, gateUp, activated] = [
    tensor('hidden', HIDDEN),
    tensor('normed', HIDDEN),
    tensor('gateUp', 2 * FEED_FORWARD),
    tensor('activated', FEED_FORWARD),
  ];

  for (const format of WEIGHT_FORMATS) {
    const piece = quantize(
      format,
      Float32Array.from({ length: HIDDEN * 64 }, (_, i) => Math.sin(i) / 8),
    );
    const weights = [];
    for (let bytes = 0; bytes < WEIGHT_BYTES; bytes += weights[0].byteLength) {
      const weight = device.createWeight({ name: 'gateUp', rows: 2 * FEED_FORWARD, cols: HIDDEN, format });
      for (let row = 0; row < weight.rows; row += 64) await device.writeWeight(weight, row, piece, format);
      weights.push(weight);
    }
    for (const rows of [1, 2, 4, 8, 64, 512]) {
      const used = rows > 8 ? weights.slice(0, 2) : weights;
      list.push({
        name: `linear ${format}`,
        rows,
        copies: used.length,
        macs: rows * weights[0].rows * weights[0].cols,
        bytes: weights[0].byteLength,
        record: (ops) => used.forEach((weight) => ops.linear({ x: hidden, weights: [weight], out: gateUp })),
      });
    }
  }

  const copies = 50;
  const repeated = (record: (ops: OpRecorder) => void) => (ops: OpRecorder) => {
    for (let i = 0; i < copies; i++) record(ops);
  };
  const weight = constant(HIDDEN);
  for (const rows of [1, 512]) {
    list.push(
      {
        name: 'norm',
        rows,
        copies,
        record: repeated((ops) => ops.norm({ x: hidden, weight, eps: 1e-6, out: normed })),
      },
      {
        name: 'gatedActivation',
        rows,
        copies,
        record: repeated((ops) => ops.gatedActivation({ x: gateUp, activation: 'silu', out: activated })),
      },
    );
  }

  const qkv = tensor('qkv', (HEADS + 2 * KV_HEADS) * HEAD_DIM);
  const attended = tensor('attended', HEADS * HEAD_DIM);
  const cache = device.createKvCache({ layers: 1, blocks: CONTEXT / 16, kvHeads: KV_HEADS, headDim: HEAD_DIM });
  const rope = constant(CONTEXT * HEAD_DIM);
  for (const [rows, position] of [
    [1, 63],
    [1, 511],
    [1, 4095],
    [512, 0],
  ]) {
    const seen = rows === 1 ? position + 1 : (rows * (rows + 1)) / 2;
    list.push(
      {
        name: 'ropeAndCache',
        rows,
        position,
        copies,
        record: repeated((ops) => ops.ropeAndCache({ qkv, heads: HEADS, rotaryDim: HEAD_DIM, rope, cache, layer: 0 })),
      },
      {
        name: `attention from ${position}`,
        rows,
        position,
        copies: rows === 1 ? copies : 1,
        macs: 2 * HEADS * HEAD_DIM * seen,
        bytes: rows === 1 ? 8 * KV_HEADS * HEAD_DIM * seen : undefined,
        record: (ops) => {
          // The K/V cache's blocks are checked by the op that writes it.
          ops.ropeAndCache({ qkv, heads: HEADS, rotaryDim: HEAD_DIM, rope, cache, layer: 0 });
          for (let i = 0; i < (rows === 1 ? copies : 1); i++) {
            ops.attention({ qkv, heads: HEADS, scale: 0.125, cache, layer: 0, out: attended });
          }
        },
      },
    );
  }
  return list;
}

function stepOf(rows: number, position: number): StepInput {
  const indices = Array.from({ length: rows }, (_, i) => i);
  return {
    tokens: indices.map(() => 0),
    positions: indices.map((i) => position + i),
    slots: indices.map(() => 0),
    blockTables: [Array.from({ length: CONTEXT / 16 }, (_, i) => i)],
    logitRows: [0],
  };
}
