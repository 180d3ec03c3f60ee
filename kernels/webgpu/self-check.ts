/**
 * Runs every family of kernels on small shapes against the reference device. Drivers and compilers have bugs, and a GPU
 * that computes wrongly looks like a model that talks nonsense; so nothing is served before this has passed.
 */

import type {
  Constant,
  Device,
  KvCache,
  KvFormat,
  OpRecorder,
  ReducedLogits,
  StepInput,
  Tensor,
  Weight,
} from '../contract.ts';
import { quantize, type WeightFormat } from '../formats.ts';
import { ReferenceDevice } from '../reference/device.ts';

/** What a result may be off by, as a share of the greatest: float32 in any order, with a GPU's exp and division. */
const TOLERANCE = 1e-3;
/** Kernels for one row, for a few, for many and for a prompt need not be the same. */
const ROW_COUNTS = [1, 3, 12, 40];
const MAX_ROWS = 40;
/** Where the cache's blocks of the only sequence lie. */
const BLOCK_TABLE = [1, 0, 2];
/** Whole blocks of every format. */
const COLS = 256;
/** One format at least of each way to read weights and to multiply them. */
const CHECKED_FORMATS = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_K', 'Q6_K'] as const;
/** Those of linears that a GPU does together with what follows, beside keys and values of a format. */
const FUSED_FORMATS = [
  { format: 'Q8_0', cacheFormat: 'F32', norms: false },
  { format: 'BF16', cacheFormat: 'F16', norms: false },
  { format: 'F16', cacheFormat: 'F32', norms: true },
] as const;
const OUTS = 36;
const [HEADS, KV_HEADS, HEAD_DIM] = [4, 2, 32];
const [EXPERTS, PER_TOKEN, EXPERT_COLS] = [5, 2, 32];
/** Logits of a row, the last of them no whole word of a mask, and what is asked of them. */
const LOGITS = 300;
const REDUCTION = { top: 9, scale: 0.5, picks: [1, 299], mask: new Uint32Array(10).fill(0xfffffffd) };

export interface Fault {
  readonly kernel: string;
  /** Greatest difference to the reference, as a share of the greatest value. */
  readonly difference: number;
}

/** The first family of kernels that computes something else than the reference; undefined when all agree. */
export async function findFault(device: Device): Promise<Fault | undefined> {
  const found = await results(device);
  const wanted = await results(new ReferenceDevice());
  for (const [i, { kernel, values }] of wanted.entries()) {
    const greatest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const difference = greatestDifference(found[i].values, values) / greatest;
    if (!(difference <= TOLERANCE)) return { kernel, difference };
  }
  return undefined;
}

/**
 * True when two devices make the same floats of every half that is a number, infinities and what float16 holds with fewer bits
 * included: {@link findFault} has none of those, and tells nothing smaller than its tolerance.
 */
export async function widenAlike(devices: readonly Device[]): Promise<boolean> {
  const cols = 256;
  const halves = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits).filter((bits) => (bits & 0x7fff) <= 0x7c00);
  const rows = Math.ceil(halves.length / cols);
  const data = new Uint16Array(rows * cols);
  data.set(halves);
  const found: Uint32Array[] = [];
  for (const device of devices) {
    device.setStepLimits({ maxRows: rows, maxLogitRows: 1, maxSlots: 1, maxBlocksPerSlot: 1 });
    const table = device.createWeight({ name: 'every half', rows, cols, format: 'F16' });
    await device.writeWeight(table, 0, new Uint8Array(data.buffer), 'F16');
    const out = device.createTensor({ name: 'every half', maxRows: rows, cols });
    const plan = device.record(rows, (record) => record.embed({ table, out }));
    const tokens = Array.from({ length: rows }, (_, r) => r);
    const zeros = tokens.map(() => 0);
    await device.run(plan, { tokens, positions: zeros, slots: zeros, blockTables: [[0]], logitRows: [] });
    const { buffer, byteOffset, length } = await device.read(out, rows);
    found.push(new Uint32Array(buffer, byteOffset, length));
  }
  return found.every((words) => words.every((word, i) => word === found[0][i]));
}

interface Result {
  readonly kernel: string;
  readonly values: Float32Array;
}

async function results(device: Device): Promise<Result[]> {
  device.setStepLimits({
    maxRows: MAX_ROWS,
    maxLogitRows: MAX_ROWS,
    maxSlots: 1,
    maxBlocksPerSlot: BLOCK_TABLE.length,
  });
  const outputs = new Map<string, Tensor>();
  const ops = await families(device, outputs);
  const logits = device.createTensor({ name: 'logits', maxRows: MAX_ROWS, cols: LOGITS, domain: 'logits' });
  const reduction = device.createReduction(logits);
  const table = device.createWeight({ name: 'check logits', rows: MAX_ROWS, cols: LOGITS, format: 'F32' });
  await device.writeWeight(table, 0, quantize('F32', eighths(MAX_ROWS * LOGITS)), 'F32');
  const rows = device.createTensor({ name: 'rows of logits', maxRows: MAX_ROWS, cols: LOGITS });
  const plan = device.record(MAX_ROWS, (record) => {
    ops(record);
    record.embed({ table, out: rows });
    record.gatherRows({ x: rows, out: logits });
    record.reduceLogits({ logits, out: reduction });
  });
  const found: Result[] = [];
  for (const count of ROW_COUNTS) {
    const step = stepOf(count);
    await device.run(plan, { ...step, reductions: Array.from(step.logitRows, () => REDUCTION) });
    for (const [kernel, tensor] of outputs) found.push({ kernel, values: await device.read(tensor, count) });
    const reduced = (await device.readReduction(reduction)) as ReducedLogits[];
    found.push({ kernel: 'reduceLogits', values: Float32Array.from(reduced.flatMap(valuesOf)) });
  }
  return found;
}

function valuesOf({ ids, logits, picked, sumExp }: ReducedLogits): number[] {
  return [...ids, ...logits, ...picked, sumExp];
}

/** Makes the operands and says which tensor each family leaves its results in. */
async function families(device: Device, outputs: Map<string, Tensor>): Promise<(record: OpRecorder) => void> {
  const tensor = (name: string, cols: number) => device.createTensor({ name, maxRows: MAX_ROWS, cols });
  const weight = async (format: WeightFormat, rows: number, cols: number, values: Float32Array, matrices?: number) => {
    const made = device.createWeight({ name: `check ${format}`, rows, cols, format, matrices });
    await device.writeWeight(made, 0, quantize(format, values), format);
    return made;
  };
  const output = (kernel: string, cols: number): Tensor => {
    const made = tensor(kernel, cols);
    outputs.set(kernel, made);
    return made;
  };

  const x = tensor('x', COLS);
  const sum = tensor('sum', COLS);
  const inputs = await weight('F32', MAX_ROWS, COLS, eighths(MAX_ROWS * COLS));
  const linears = await Promise.all(
    CHECKED_FORMATS.map(async (format) => ({
      table: await weight(format, MAX_ROWS, COLS, waves(MAX_ROWS * COLS)),
      embedded: output(`embed ${format}`, COLS),
      matrix: await weight(format, OUTS, COLS, waves(OUTS * COLS)),
      out: output(`linear ${format}`, OUTS),
    })),
  );
  const bias = device.createConstant('bias', waves(OUTS));
  const normWeight = device.createConstant('norm', waves(COLS));
  const headNorm = device.createConstant('head norm', waves(HEAD_DIM));
  const rope = device.createConstant('rope', waves(MAX_ROWS * HEAD_DIM));
  const qkv = tensor('qkv', (HEADS + 2 * KV_HEADS) * HEAD_DIM);
  const qkvTable = await weight('F32', MAX_ROWS, qkv.cols, waves(MAX_ROWS * qkv.cols));
  const kvCache = (format: KvFormat) =>
    device.createKvCache({ layers: 1, blocks: BLOCK_TABLE.length, kvHeads: KV_HEADS, headDim: HEAD_DIM, format });
  const cache = kvCache('F32');
  const roundedCaches = (['F16', 'I8'] as const).map((format) => ({
    cache: kvCache(format),
    qkv: tensor(`qkv for ${format}`, qkv.cols),
    out: output(`ropeAndCache and attention, ${format}`, HEADS * HEAD_DIM),
  }));
  const normed = output('norm', COLS);
  const added = tensor('added', COLS);
  const pair = output('norm, sum and norm', COLS);
  const attended = output('ropeAndCache and attention', HEADS * HEAD_DIM);
  const centered = output('norm, centred', COLS);
  const activated = (['silu', 'gelu_tanh'] as const).map((activation) => ({
    activation,
    out: output(`gatedActivation ${activation}`, COLS / 2),
  }));
  const fused = await Promise.all(
    FUSED_FORMATS.map(async ({ format, cacheFormat, norms }) => ({
      gateUp: tensor('gate and up', COLS),
      gateUpMatrix: await weight(format, COLS, COLS, waves(COLS * COLS)),
      activated: output(`linear ${format} and gatedActivation`, COLS / 2),
      turned: tensor('turned', qkv.cols),
      qkvMatrix: await weight(format, qkv.cols, COLS, waves(qkv.cols * COLS)),
      cache: kvCache(cacheFormat),
      normed: norms ? { qNorm: headNorm, kNorm: headNorm, normEps: 1e-6 } : {},
      attended: output(`linear ${format}, ropeAndCache and attention, ${cacheFormat}`, HEADS * HEAD_DIM),
    })),
  );
  const qkvBias = device.createConstant('bias of qkv', waves(qkv.cols));
  const adjusted = output('activation, addScaled and scaleAndCap', COLS);
  const experts = await Promise.all(
    (['F32', 'Q8_0'] as const).map(async (format) => ({
      up: await weight(format, EXPERTS * 2 * EXPERT_COLS, COLS, waves(EXPERTS * 2 * EXPERT_COLS * COLS), EXPERTS),
      matrices: await weight(format, EXPERTS * OUTS, COLS, waves(EXPERTS * OUTS * COLS), EXPERTS),
      activated: output(`experts ${format} and gatedActivation`, OUTS),
      out: output(`experts ${format}`, OUTS),
    })),
  );
  // What is activated is no whole number of eighths, which bytes would hold exactly.
  const floatDown = await weight('F32', EXPERTS * OUTS, EXPERT_COLS, waves(EXPERTS * OUTS * EXPERT_COLS), EXPERTS);
  const rounding = await roundedRows(device, x, { tensor, weight, output }, cache, rope);
  const routes = device.createRoutes({ experts: EXPERTS, perToken: PER_TOKEN });
  const scores = tensor('scores', EXPERTS);
  const scoreTable = await weight('F32', MAX_ROWS, EXPERTS, waves(MAX_ROWS * EXPERTS));
  const routed = (name: string, cols: number) =>
    device.createTensor({ name, maxRows: PER_TOKEN * MAX_ROWS, cols, perRow: PER_TOKEN });
  const [each, raised, activatedEach, results] = [
    routed('each', COLS),
    routed('raised', 2 * EXPERT_COLS),
    routed('activated each', EXPERT_COLS),
    routed('results', OUTS),
  ];
  const gathered = device.createTensor({ name: 'gathered', maxRows: MAX_ROWS, cols: COLS, domain: 'logits' });
  outputs.set('gatherRows', gathered);

  return (record) => {
    record.embed({ table: inputs, out: x });
    for (const { table, embedded, matrix, out } of linears) {
      record.embed({ table, out: embedded });
      record.linear({ x, weights: [matrix], bias, out });
    }
    record.embed({ table: inputs, out: sum });
    record.norm({ x: sum, add: x, weight: normWeight, eps: 1e-6, out: normed });
    record.embed({ table: inputs, out: added });
    record.norm({ x: added, weight: normWeight, eps: 1e-6, out: added });
    record.norm({ x: sum, add: added, weight: normWeight, eps: 1e-6, out: pair });
    record.norm({ x, centered: true, weight: normWeight, bias: normWeight, eps: 1e-6, out: centered });
    for (const { activation, out } of activated) record.gatedActivation({ x, activation, out });
    record.activation({ x, activation: 'gelu_tanh', out: adjusted });
    record.addScaled({ x: adjusted, add: x, scale: 0.5 });
    record.scaleAndCap({ x: adjusted, scale: 0.25, cap: 5 });
    record.embed({ table: scoreTable, out: scores });
    record.route({ scores, normalize: true, routes });
    record.gatherRoutes({ x, routes, out: each });
    for (const { matrices, up, activated, out } of experts) {
      record.expertLinear({ x: each, routes, weights: [matrices], out: results });
      record.mixRoutes({ x: results, routes, out });
      record.expertLinear({ x: each, routes, weights: [up], out: raised });
      record.gatedActivation({ x: raised, activation: 'silu', out: activatedEach });
      record.expertLinear({ x: activatedEach, routes, weights: [floatDown], out: results });
      record.mixRoutes({ x: results, routes, out: activated });
    }
    record.embed({ table: qkvTable, out: qkv });
    record.ropeAndCache({
      qkv,
      heads: HEADS,
      rotaryDim: HEAD_DIM,
      rope,
      qNorm: headNorm,
      kNorm: headNorm,
      normEps: 1e-6,
      cache,
      layer: 0,
    });
    record.attention({ qkv, heads: HEADS, scale: 0.25, cache, layer: 0, out: attended });
    for (const { gateUp, gateUpMatrix, activated, turned, qkvMatrix, cache, normed, attended } of fused) {
      record.linear({ x, weights: [gateUpMatrix], out: gateUp });
      record.gatedActivation({ x: gateUp, activation: 'silu', out: activated });
      record.linear({ x, weights: [qkvMatrix], bias: qkvBias, out: turned });
      record.ropeAndCache({ qkv: turned, heads: HEADS, rotaryDim: HEAD_DIM, rope, ...normed, cache, layer: 0 });
      // The scores must be small: a weight of nearly one would hide the others.
      record.attention({ qkv: turned, heads: HEADS, scale: 1e-4, cache, layer: 0, out: attended });
    }
    for (const { cache, qkv, out } of roundedCaches) {
      record.embed({ table: qkvTable, out: qkv });
      record.ropeAndCache({ qkv, heads: HEADS, rotaryDim: HEAD_DIM, rope, cache, layer: 0 });
      // Small scores, too: a key that falls between two bytes may be rounded to either.
      record.attention({ qkv, heads: HEADS, scale: 0.02, cache, layer: 0, out });
    }
    rounding(record);
    record.gatherRows({ x: normed, out: gathered });
  };
}

interface Operands {
  readonly tensor: (name: string, cols: number) => Tensor;
  readonly weight: (format: WeightFormat, rows: number, cols: number, values: Float32Array) => Promise<Weight>;
  readonly output: (kernel: string, cols: number) => Tensor;
}

/** Ops whose kernels round the rows they make for a linear after them: rows that 8 bits hold exactly, times a common factor. */
async function roundedRows(
  device: Device,
  x: Tensor,
  { tensor, weight, output }: Operands,
  cache: KvCache,
  rope: Constant,
): Promise<(record: OpRecorder) => void> {
  const half = COLS / 2;
  const linearOf = async (kernel: string, made: Tensor) => ({
    x: made,
    weights: [await weight('Q8_0', OUTS, made.cols, waves(OUTS * made.cols))],
    out: output(`${kernel}, rounded`, OUTS),
  });
  const ones = device.createConstant('ones', new Float32Array(COLS).fill(1));
  const normed = await linearOf('norm', tensor('normed', COLS));
  // Gates of one, beside eighths.
  const gatesAndRows = eighths(MAX_ROWS * COLS).map((value, i) => (i % COLS < half ? 1 : value));
  const gateTable = await weight('F32', MAX_ROWS, COLS, gatesAndRows);
  const gateUp = tensor('even gate and up', COLS);
  const activated = await linearOf('gatedActivation', tensor('activated', half));
  // Rows of x behind gates that are the same for all columns.
  const picks = new Float32Array(COLS * COLS);
  for (let i = 0; i < half; i++) {
    picks[i * COLS] = 1 / 16;
    picks[(half + i) * COLS + i] = 1;
  }
  const pickMatrix = await weight('Q8_0', COLS, COLS, picks);
  const picked = tensor('picked gate and up', COLS);
  const activatedLinear = await linearOf('linear and gatedActivation', tensor('activated picks', half));
  // All positions have the same values, which are their own mean.
  const valueCols = KV_HEADS * HEAD_DIM;
  const qkv = tensor('qkv of even values', (HEADS + 2 * KV_HEADS) * HEAD_DIM);
  const value = eighths(valueCols);
  const qkvTable = await weight(
    'F32',
    MAX_ROWS,
    qkv.cols,
    waves(MAX_ROWS * qkv.cols).map((wave, i) => value[(i % qkv.cols) - qkv.cols + valueCols] ?? wave),
  );
  const attended = await linearOf('attention', tensor('attended', HEADS * HEAD_DIM));
  return (record) => {
    record.norm({ x, weight: ones, eps: 1e-6, out: normed.x });
    record.linear(normed);
    record.embed({ table: gateTable, out: gateUp });
    record.gatedActivation({ x: gateUp, activation: 'silu', out: activated.x });
    record.linear(activated);
    record.linear({ x, weights: [pickMatrix], out: picked });
    record.gatedActivation({ x: picked, activation: 'silu', out: activatedLinear.x });
    record.linear(activatedLinear);
    record.embed({ table: qkvTable, out: qkv });
    record.ropeAndCache({ qkv, heads: HEADS, rotaryDim: HEAD_DIM, rope, cache, layer: 0 });
    record.attention({ qkv, heads: HEADS, scale: 0.02, cache, layer: 0, out: attended.x });
    record.linear(attended);
  };
}

/** The first `rows` positions of one sequence; the last row alone has no earlier ones to see. */
function stepOf(rows: number): StepInput {
  const indices = Array.from({ length: rows }, (_, r) => r);
  return {
    tokens: indices,
    positions: indices,
    slots: indices.map(() => 0),
    blockTables: [BLOCK_TABLE],
    logitRows: indices,
  };
}

function waves(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(1.7 * i + 0.3));
}

/** Multiples of 1/8 that 8 bits hold exactly, whole blocks of 32: 127/8 is the greatest of each. */
function eighths(length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => (i % 32 === 0 ? 127 : ((i * 37) % 201) - 100) / 8);
}

function greatestDifference(a: Float32Array, b: Float32Array): number {
  let most = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= most)) most = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
  }
  return most;
}
