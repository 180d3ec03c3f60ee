/**
 * Turns recorded ops into the words of op tables: addresses, strides and sizes, fixed once.
 *
 * An op table lies in one memory and is run there. Where ops go on in another memory (`memories.ts`) a new {@link Segment}
 * begins, and the tensors that its ops use move there before it runs. A tensor is in one memory at a time.
 */

import type { Constant, OpRecorder } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import { isQuantized, type QuantizedWeightFormat } from '../formats.ts';
import { activationZeroPoint, BLOCK, BLOCK_FORMS } from './block-forms.ts';
import { type Movable, type WasmConstant, WasmKvCache, WasmRoutes, WasmTensor, type WasmWeight } from './buffers.ts';
import type { ArgKinds, ArgLocals, OpKernel } from './emit.ts';
import type { Heap } from './heap.ts';
import { PANEL_ROWS, panelBytes, panelCount, unitsOf } from './layout.ts';
import type { Memories } from './memories.ts';
import type { KernelOps } from './module.ts';
import { ACTIVATION_CODE, STRETCH as ACTIVATION_STRETCH } from './ops/activation.ts';
import { attentionScratchBytes, partialBytes } from './ops/attention.ts';
import { ELEMENT_STRETCH } from './ops/elementwise.ts';
import { ACTIVATION_BLOCK_BYTES, STRETCH as QUANTIZE_STRETCH } from './ops/quantize-activations.ts';
import { CHUNK } from './ops/read-memory.ts';
import type { WasmReduction } from './reductions.ts';
import { RECORD_HEADER_BYTES } from './run-loop.ts';
import type { StepBuffers } from './step-buffers.ts';

/**
 * Weight panels that one thread takes at a time make up this many bytes at most. Long runs are what the hardware
 * prefetchers need: with 32 KiB two threads reached 60% of the read bandwidth at Q4_0, with 256 KiB 87%.
 */
const TASK_BYTES = 256 * 1024;
/** Tasks that each thread should find in a linear op, so that a delayed thread does not hold up the rest. */
const TASKS_PER_THREAD = 4;

type Values<A extends ArgKinds> = { readonly [K in keyof ArgLocals<A>]: number };

/** A run of ops in one memory. */
export interface Segment {
  readonly heap: Heap;
  /** Address of its op table. */
  readonly table: number;
  /** Tensors and routes to bring in from the memories where earlier segments left them. */
  readonly moves: readonly Move[];
}

export interface Move {
  readonly moved: Movable;
  readonly from: Heap;
}

interface OpenSegment {
  readonly heap: Heap;
  readonly words: number[];
  readonly moves: Move[];
}

/** The operands of an op, as far as they decide where it runs and what must be there. */
interface Operands {
  readonly [name: string]: unknown;
  readonly cache?: unknown;
  readonly layer?: number;
}

export class WasmRecorder implements OpRecorder {
  readonly #segments: OpenSegment[] = [];
  readonly #memories: Memories;
  readonly #kernels: KernelOps;
  readonly #stepIn: (heap: Heap) => StepBuffers;
  readonly #threads: number;
  /** Where each tensor and the routes are at the end. */
  readonly homes = new Map<Movable, Heap>();
  /** Limits that a step's inputs are checked against. */
  vocabSize = Number.POSITIVE_INFINITY;
  positions = Number.POSITIVE_INFINITY;
  blocks = Number.POSITIVE_INFINITY;
  readonly caches = new Set<WasmKvCache>();
  readonly reductions: WasmReduction[] = [];

  /** @param stepIn  the step buffers of a memory */
  constructor(memories: Memories, kernels: KernelOps, stepIn: (heap: Heap) => StepBuffers, threads: number) {
    this.#memories = memories;
    this.#kernels = kernels;
    this.#stepIn = stepIn;
    this.#threads = threads;
  }

  /** Writes the tables to their memories. */
  finish(): readonly Segment[] {
    return this.#segments.map(({ heap, words, moves }) => ({ heap, table: writeTable(heap, words), moves }));
  }

  /**
   * Turns to the memory where an op is to run, and brings its tensors and routes there: where its weight lies, or its layer's keys and
   * values; else it goes on where the last op ran. Comes before an op takes any address.
   */
  #enter(op: Operands, weight?: WasmWeight): void {
    if (weight !== undefined) this.#memories.current = weight.heap;
    if (op.cache instanceof WasmKvCache) this.#memories.current = op.cache.heapOf(op.layer as number);
    const heap = this.#memories.current;
    if (this.#segments.at(-1)?.heap !== heap) this.#segments.push({ heap, words: [], moves: [] });
    for (const operand of Object.values(op)) {
      if (!(operand instanceof WasmTensor || operand instanceof WasmRoutes)) continue;
      const from = this.homes.get(operand);
      if (from !== undefined && from !== heap) this.#segments.at(-1)?.moves.push({ moved: operand, from });
      this.homes.set(operand, heap);
    }
  }

  get #step(): StepBuffers {
    return this.#stepIn(this.#memories.current);
  }

  embed(op: Parameters<OpRecorder['embed']>[0]): void {
    const table = op.table as WasmWeight;
    const out = op.out as WasmTensor;
    this.#enter(op, table);
    this.vocabSize = Math.min(this.vocabSize, table.rows);
    this.#add(this.#kernels.embed[table.format], {
      table: table.address,
      panelBytes: panelBytes(table.format, table.cols),
      cols: table.cols,
      tokens: this.#step.tokens,
      out: out.address,
      outStride: out.strideBytes,
      scale: op.scale ?? 1,
      rows: this.#step.rowsOf(out),
    });
  }

  norm(op: Parameters<OpRecorder['norm']>[0]): void {
    const [x, out] = [op.x as WasmTensor, op.out as WasmTensor];
    const add = op.add as WasmTensor | undefined;
    const first = op.columns?.first ?? 0;
    const cols = op.weight.length;
    // A range is walked in vectors, the padding of a whole row included.
    if (op.columns && (first % 4 !== 0 || cols % 4 !== 0)) {
      throw new DeviceError(`norm: columns ${first} … ${first + cols - 1} must be whole fours on the wasm device`);
    }
    if (op.columns && add) this.addScaled({ x, add, scale: op.addScale });
    const residual = op.columns ? undefined : add;
    this.#enter(op);
    this.#add(this.#kernels.norm, {
      x: x.address + 4 * first,
      add: residual?.address ?? 0,
      addScale: op.addScale ?? 1,
      centered: op.centered ? 1 : 0,
      weight: addressOf(op.weight),
      bias: addressOf(op.bias),
      out: out.address + 4 * first,
      xStride: x.strideBytes,
      addStride: residual?.strideBytes ?? 0,
      outStride: out.strideBytes,
      cols,
      eps: op.eps,
      rows: this.#step.rowsOf(x),
    });
  }

  addScaled(op: Parameters<OpRecorder['addScaled']>[0]): void {
    const [x, add] = [op.x as WasmTensor, op.add as WasmTensor];
    const gate = op.gate as WasmTensor | undefined;
    this.#enter(op);
    this.#add(this.#kernels.addScaled, {
      x: x.address,
      add: add.address,
      gate: gate?.address ?? 0,
      xStride: x.strideBytes,
      addStride: add.strideBytes,
      gateStride: gate?.strideBytes ?? 0,
      rowBytes: rowBytesOf(x),
      stretches: Math.ceil(x.cols / ELEMENT_STRETCH),
      scale: op.scale ?? 1,
      rows: this.#step.rowsOf(x),
    });
  }

  scaleAndCap(op: Parameters<OpRecorder['scaleAndCap']>[0]): void {
    const x = op.x as WasmTensor;
    this.#enter(op);
    this.#add(this.#kernels.scaleAndCap, {
      x: x.address,
      stride: x.strideBytes,
      rowBytes: rowBytesOf(x),
      stretches: Math.ceil(x.cols / ELEMENT_STRETCH),
      scale: op.scale,
      cap: op.cap ?? 0,
      rows: this.#step.rowsOf(x),
    });
  }

  linear(op: Parameters<OpRecorder['linear']>[0]): void {
    this.#multiply(op, () => this.#step.groupOf(op.x as WasmTensor));
  }

  expertLinear(op: Parameters<OpRecorder['expertLinear']>[0]): void {
    this.#multiply(op, () => (op.routes as WasmRoutes).addresses.groups);
  }

  /** Multiplies by weights side by side. `groupsOf` gives the table of the groups of rows in the memory at hand. */
  #multiply(op: Parameters<OpRecorder['linear']>[0], groupsOf: () => number): void {
    const x = op.x as WasmTensor;
    const out = op.out as WasmTensor;
    let quantizedFor: string | undefined;
    let quantizedIn: Heap | undefined;
    let column = op.columns?.first ?? 0;
    for (const weight of op.weights as readonly WasmWeight[]) {
      this.#enter(op as unknown as Operands, weight);
      const { format, cols, matrices, matrixBytes } = weight;
      let source = { address: x.address, strideBytes: x.strideBytes };
      if (isQuantized(format)) {
        source = this.#quantizedCopy(x, format);
        // The copy depends on the zero point, and on the width of its codes; weights of one format side by side share it.
        const kind = `${activationZeroPoint(BLOCK_FORMS[format])} ${this.#kernels.codeBits(format)}`;
        if (quantizedFor !== kind || quantizedIn !== weight.heap) this.#quantize(x, format);
        quantizedFor = kind;
        quantizedIn = weight.heap;
      }
      const rows = weight.rows / matrices;
      const panels = panelCount(rows);
      const bytes = panelBytes(format, cols);
      this.#add(this.#kernels.linear[format], {
        x: source.address,
        xStride: source.strideBytes,
        weight: weight.address,
        matrixBytes,
        panelBytes: bytes,
        panels,
        panelsPerTask: Math.max(
          1,
          Math.min(Math.ceil(TASK_BYTES / bytes), Math.ceil(panels / (this.#threads * TASKS_PER_THREAD))),
        ),
        units: unitsOf(format, cols),
        tailRows: rows % PANEL_ROWS || PANEL_ROWS,
        bias: op.bias ? addressOf(op.bias) + 4 * column : 0,
        biasBytes: 4 * out.cols,
        out: out.address + 4 * column,
        outStride: out.strideBytes,
        groups: groupsOf(),
      });
      column += rows;
    }
  }

  ropeAndCache(op: Parameters<OpRecorder['ropeAndCache']>[0]): void {
    const qkv = op.qkv as WasmTensor;
    const cache = op.cache as WasmKvCache;
    this.#enter(op);
    if (op.rope) this.positions = Math.min(this.positions, op.rope.length / op.rotaryDim);
    this.blocks = Math.min(this.blocks, cache.blocks);
    this.caches.add(cache);
    this.#add(this.#kernels.ropeAndCache[cache.format], {
      qkv: qkv.address,
      stride: qkv.strideBytes,
      heads: op.heads,
      kvHeads: cache.kvHeads,
      headDim: cache.headDim,
      rotaryDim: op.rotaryDim,
      rope: addressOf(op.rope),
      ropeRows: this.#step.ropeRows,
      qNorm: addressOf(op.qNorm),
      kNorm: addressOf(op.kNorm),
      headDimFloat: cache.headDim,
      eps: op.normEps ?? 0,
      ...this.#pagesOf(cache, op.layer),
      rows: this.#step.rows,
    });
  }

  attention(op: Parameters<OpRecorder['attention']>[0]): void {
    const [qkv, out] = [op.qkv as WasmTensor, op.out as WasmTensor];
    const cache = op.cache as WasmKvCache;
    if (cache.headDim % 4 !== 0) {
      throw new DeviceError(`attention: headDim ${cache.headDim} must be a multiple of 4 on the wasm device`);
    }
    this.#enter(op);
    const group = op.heads / cache.kvHeads;
    const args = {
      qkv: qkv.address,
      qkvStride: qkv.strideBytes,
      kvHeads: cache.kvHeads,
      group,
      headDim: cache.headDim,
      scale: op.scale,
      window: op.window ?? 0,
      softcap: op.softcap ?? 0,
      sinks: addressOf(op.sinks),
      ...this.#pagesOf(cache, op.layer),
      out: out.address,
      outStride: out.strideBytes,
      ...this.#step.attentionScratch(
        attentionScratchBytes(group, cache.headDim),
        partialBytes(group, cache.headDim),
        cache.kvHeads,
      ),
      taskCount: this.#step.attentionTaskCount,
      spreadCount: this.#step.spreadCount,
    };
    this.#add(this.#kernels.attention[cache.format], args);
    this.#add(this.#kernels.attentionMerge, args);
  }

  gatedActivation(op: Parameters<OpRecorder['gatedActivation']>[0]): void {
    this.#activate(this.#kernels.gatedActivation, op);
  }

  activation(op: Parameters<OpRecorder['activation']>[0]): void {
    this.#activate(this.#kernels.activation, op);
  }

  #activate(kernel: KernelOps['activation'], op: Parameters<OpRecorder['gatedActivation']>[0]): void {
    const [x, out] = [op.x as WasmTensor, op.out as WasmTensor];
    this.#enter(op);
    if (kernel === this.#kernels.gatedActivation && out.cols < 4) {
      throw new DeviceError(`gatedActivation: ${out.cols} columns, at least 4 on the wasm device`);
    }
    this.#add(kernel, {
      x: x.address,
      out: out.address,
      xStride: x.strideBytes,
      outStride: out.strideBytes,
      cols: out.cols,
      stretches: Math.ceil(out.cols / ACTIVATION_STRETCH),
      activation: ACTIVATION_CODE[op.activation],
      limit: op.limit ?? 0,
      rows: this.#step.rowsOf(x),
    });
  }

  route(op: Parameters<OpRecorder['route']>[0]): void {
    const scores = op.scores as WasmTensor;
    const { experts, perToken } = op.routes;
    this.#enter(op);
    const { chosen, weights, counts, places, groups } = (op.routes as WasmRoutes).addresses;
    this.#add(this.#kernels.route, {
      scores: scores.address,
      stride: scores.strideBytes,
      experts,
      perToken,
      normalize: op.normalize ? 1 : 0,
      scale: op.scale ?? 1,
      groups: op.groups?.count ?? 1,
      chosenGroups: op.groups?.chosen ?? 1,
      chosen,
      weights,
      rows: this.#step.rows,
    });
    const routes = this.#step.rowsOf({ domain: 'tokens', perRow: perToken });
    this.#add(this.#kernels.groupRoutes, { chosen, experts, counts, places, groups, routes });
  }

  gatherRoutes(op: Parameters<OpRecorder['gatherRoutes']>[0]): void {
    const [x, out] = [op.x as WasmTensor, op.out as WasmTensor];
    const { perToken } = op.routes;
    this.#enter(op);
    const { places } = (op.routes as WasmRoutes).addresses;
    this.#add(this.#kernels.gatherRoutes, {
      x: x.address,
      out: out.address,
      xStride: x.strideBytes,
      outStride: out.strideBytes,
      rowBytes: 4 * x.cols,
      perToken,
      places,
      routes: this.#step.rowsOf(out),
    });
  }

  mixRoutes(op: Parameters<OpRecorder['mixRoutes']>[0]): void {
    const [x, out] = [op.x as WasmTensor, op.out as WasmTensor];
    const { perToken } = op.routes;
    this.#enter(op);
    const { places, weights } = (op.routes as WasmRoutes).addresses;
    this.#add(this.#kernels.mixRoutes, {
      x: x.address,
      out: out.address,
      xStride: x.strideBytes,
      outStride: out.strideBytes,
      rowBytes: rowBytesOf(x),
      perToken,
      places,
      weights,
      rows: this.#step.rowsOf(out),
    });
  }

  gatherRows(op: Parameters<OpRecorder['gatherRows']>[0]): void {
    const [x, out] = [op.x as WasmTensor, op.out as WasmTensor];
    this.#enter(op);
    this.#add(this.#kernels.gatherRows, {
      x: x.address,
      out: out.address,
      xStride: x.strideBytes,
      outStride: out.strideBytes,
      rowBytes: 4 * x.cols,
      logitRows: this.#step.logitRows,
      rows: this.#step.logitRowCount,
    });
  }

  reduceLogits(op: Parameters<OpRecorder['reduceLogits']>[0]): void {
    const out = op.out as WasmReduction;
    const { logits, words, requestStride, resultStride } = out;
    this.#enter(op);
    const { requests, results } = out.settle(this.#memories.current);
    this.reductions.push(out);
    this.#add(this.#kernels.reduceLogits, {
      logits: logits.address,
      stride: logits.strideBytes,
      words,
      tailBytes: 4 * (logits.cols - 32 * (words - 1)),
      ...{ requests, requestStride, results, resultStride },
      ...this.#step.reductionScratch(words),
      rows: this.#step.logitRowCount,
    });
  }

  /** Where a layer's pages lie, and how a row finds its own. */
  #pagesOf(cache: WasmKvCache, layer: number) {
    const { positions, slots, blockTables, blockTableStride } = this.#step;
    return {
      keys: cache.keysOf(layer),
      values: cache.valuesOf(layer),
      positions,
      slots,
      blockTables,
      blockTableStride,
    };
  }

  /** Where the 8-bit form of a tensor is kept; made when first needed. */
  #quantizedCopy(x: WasmTensor, format: QuantizedWeightFormat) {
    const strideBytes = (x.cols / BLOCK) * ACTIVATION_BLOCK_BYTES[this.#kernels.codeBits(format)];
    const address = x.quantizedCopy(strideBytes * x.maxRows);
    return { address, strideBytes };
  }

  #quantize(x: WasmTensor, format: QuantizedWeightFormat): void {
    const copy = this.#quantizedCopy(x, format);
    this.#add(this.#kernels.quantizeActivations[this.#kernels.codeBits(format)], {
      x: x.address,
      out: copy.address,
      xStride: x.strideBytes,
      outStride: copy.strideBytes,
      blocks: x.cols / BLOCK,
      stretches: Math.ceil(x.cols / BLOCK / QUANTIZE_STRETCH),
      zeroPoint: activationZeroPoint(BLOCK_FORMS[format]),
      rows: this.#step.rowsOf(x),
    });
  }

  #add<A extends ArgKinds>(kernel: OpKernel<A>, values: Values<A>): void {
    this.#segments.at(-1)?.words.push(...recordWords(this.#kernels, kernel, values));
  }
}

/** Bytes of a row in whole vectors; what is beyond its columns is zero and stays zero. */
function rowBytesOf({ cols }: WasmTensor): number {
  return 16 * Math.ceil(cols / 4);
}

function addressOf(constant: Constant | undefined): number {
  return (constant as WasmConstant | undefined)?.address ?? 0;
}

/** The op table of one `readMemory` over fresh memory. */
export function recordRead(heap: Heap, kernels: KernelOps, bytes: number): number {
  const tasks = Math.ceil(bytes / CHUNK);
  const address = heap.allocate(tasks * CHUNK, 'memory to read');
  // Untouched pages are all the same page of zeros; writing makes them real.
  heap.bytes(address, tasks * CHUNK).fill(1);
  const sink = heap.allocate(16, 'sink');
  return writeTable(heap, recordWords(kernels, kernels.readMemory, { address, tasks, sink }));
}

function recordWords<A extends ArgKinds>(kernels: KernelOps, kernel: OpKernel<A>, values: Values<A>): number[] {
  const words = Object.entries(kernel.args).map(([name, kind]) => {
    const value = values[name as keyof A];
    return kind === 'f32' ? floatBits(value) : value;
  });
  const index = kernels.all.indexOf(kernel as unknown as OpKernel);
  return [index, RECORD_HEADER_BYTES + 4 * words.length, ...words];
}

/** Writes records and the end mark to memory; returns their address. */
function writeTable(heap: Heap, records: readonly number[]): number {
  const words = Int32Array.from([...records, -1]);
  const table = heap.allocate(words.byteLength, 'op table');
  heap.words(table, words.length).set(words);
  return table;
}

function floatBits(value: number): number {
  return new Int32Array(Float32Array.of(value).buffer)[0];
}
