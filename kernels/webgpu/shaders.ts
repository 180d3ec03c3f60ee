/** The files of shaders/, made by `npm run shaders`: change those. */

export const SHADERS = {
  activate: `// The activation functions. Arguments are clamped where the result no longer changes, since a device may compute exp and
// tanh beyond that as it likes.

// 0 silu, 1 gelu by tanh, 2 quick gelu, 3 gelu, 4 relu
const ACTIVATION: u32 = 0u;

// x · Φ(x), with Φ within 1e-7. Source: Abramowitz and Stegun, 7.1.26.
fn gelu(x: f32) -> f32 {
  let t = 1.0 / fma(0.3275911 * 0.7071067811865476, abs(x), 1.0);
  let sum = fma(t, fma(t, fma(t, fma(t, 1.061405429, -1.453152027), 1.421413741), -0.284496736), 0.254829592);
  let tail = 0.5 * sum * t * exp(max(-0.5 * x * x, -80.0));
  return x * select(tail, 1.0 - tail, x >= 0.0);
}

fn activate(x: f32) -> f32 {
  switch (ACTIVATION) {
    case 1u: {
      let inner = 0.7978845608028654 * fma(0.044715 * x * x, x, x);
      return 0.5 * x * (1.0 + tanh(clamp(inner, -15.0, 15.0)));
    }
    case 2u: {
      return x / (1.0 + exp(min(-1.702 * x, 80.0)));
    }
    case 3u: {
      return gelu(x);
    }
    case 4u: {
      return max(x, 0.0);
    }
    default: {
      return x / (1.0 + exp(min(-x, 80.0)));
    }
  }
}

// act(gate) · up; with a limit the gate is cut off above, up on both sides, and 1 is added to it.
fn gated(gate: f32, up: f32, limit: f32) -> f32 {
  if (limit > 0.0) {
    return activate(min(gate, limit)) * (clamp(up, -limit, limit) + 1.0);
  }
  return activate(gate) * up;
}
`,
  activation: `// out[r][i] = act(x[r][i])
//
// x, out  f32 [rows, stride]; with IN_PLACE the result goes to out alone, which is x
//
// One thread an element. Follows \`activate.wgsl\`. Bound by memory.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
}

@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;
const IN_PLACE: bool = false;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.cols;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.stride + index % params.cols;
  if (IN_PLACE) {
    out[at] = activate(out[at]);
  } else {
    out[at] = activate(x[at]);
  }
}
`,
  'add-scaled': `// x[r] += scale · add[r], times sigmoid(gate[r]) where GATED
//
// x, add  f32 [rows, stride]
// gate    f32 [rows, gateStride], of which the first column counts
//
// One thread an element. Bound by memory.

struct Params {
  cols: u32,
  stride: u32,
  gateStride: u32,
  domain: u32,
  scale: f32,
}

@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> add: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<f32>;

const THREADS: u32 = 64u;
const GATED: bool = false;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.cols;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.stride + index % params.cols;
  var scale = params.scale;
  if (GATED) {
    scale /= 1.0 + exp(min(-gate[row * params.gateStride], 80.0));
  }
  x[at] += scale * add[at];
}
`,
  'attention-chunk': `// One split of one row for a group of heads; follows \`attention-group.wgsl\` and a \`cache-*.wgsl\`, and has a \`tile-weights-*.wgsl\`.
//
// qkv  f32 [token rows, stride], the query heads first, as vectors
//
// Threads take a position each for the scores, and four columns of a tile each for the values, so that each key and value is
// read once for all heads of the group, and nobody waits for more than the 32 positions of a tile. Bound by memory.

@group(0) @binding(4) var<storage, read> qkv: array<vec4f>;

const THREADS: u32 = 64u;
// Pieces of four columns of a tile that a thread takes.
const PIECES: u32 = (TILES * FOURS + THREADS - 1u) / THREADS;

// [GROUP, FOURS], times the scale.
var<workgroup> query: array<vec4f, GROUP * FOURS>;
// [GROUP, SPLIT]: scores, then weights.
var<workgroup> scores: array<f32, GROUP * SPLIT>;
// [GROUP, TILES]
var<workgroup> tileWeights: array<Weights, GROUP * TILES>;
// [TILES, FOURS], of one head.
var<workgroup> tileValues: array<vec4f, TILES * FOURS>;

// o of each tile and head.
var<private> pieces: array<vec4f, PIECES * GROUP>;

fn loadQuery(row: u32, firstHead: u32, thread: u32) {
  let at = row * (params.stride / 4u) + firstHead * FOURS;
  for (var i = thread; i < GROUP * FOURS; i += THREADS) {
    query[i] = qkv[at + i] * params.scale;
  }
  workgroupBarrier();
}

// Positions \`first\` to \`last\`, all of one split: leaves \`tileWeights\`, and \`pieces\` for \`showTiles\`.
fn attend(slot: u32, kvHead: u32, first: u32, last: u32, thread: u32) {
  let start = first / SPLIT * SPLIT;
  for (var p = start + thread; p <= last; p += THREADS) {
    if (p >= first) {
      let page = blockOf(slot, p / 16u) * params.kvHeads + kvHead;
      var sums = array<f32, GROUP>();
      for (var i = 0u; i < FOURS; i++) {
        let key = fourOfStored(storedKey(page, i, p % 16u));
        for (var g = 0u; g < GROUP; g++) {
          let q = query[g * FOURS + i];
          sums[g] = fma(key.w, q.w, fma(key.z, q.z, fma(key.y, q.y, fma(key.x, q.x, sums[g]))));
        }
      }
      for (var g = 0u; g < GROUP; g++) {
        scores[g * SPLIT + p % SPLIT] = capped(sums[g]);
      }
    }
  }
  weighScores(first, last, thread);

  for (var piece = 0u; piece < PIECES; piece++) {
    let i = piece * THREADS + thread;
    var sums = array<vec4f, GROUP>();
    var totals = array<f32, GROUP>();
    if (i < TILES * FOURS) {
      let begin = max(first, start + i / FOURS * TILE);
      let end = min(last + 1u, start + (i / FOURS + 1u) * TILE);
      for (var p = begin; p < end; p++) {
        let page = blockOf(slot, p / 16u) * params.kvHeads + kvHead;
        let value = fourOfStored(storedValue(page, i % FOURS, p % 16u));
        for (var g = 0u; g < GROUP; g++) {
          let weight = scores[g * SPLIT + p % SPLIT];
          totals[g] += weight;
          sums[g] = fma(vec4f(weight), value, sums[g]);
        }
      }
    }
    for (var g = 0u; g < GROUP; g++) {
      // Each thread of a tile has added up its weights on the way.
      if (i < TILES * FOURS && i % FOURS == 0u) {
        tileWeights[g * TILES + i / FOURS].total = totals[g];
      }
      pieces[piece * GROUP + g] = sums[g];
    }
  }
}

// Brings head g's values of all tiles into \`tileValues\`.
fn showTiles(g: u32, thread: u32) {
  workgroupBarrier();
  for (var piece = 0u; piece < PIECES; piece++) {
    let i = piece * THREADS + thread;
    if (i < TILES * FOURS) {
      tileValues[i] = pieces[piece * GROUP + g];
    }
  }
  workgroupBarrier();
}

struct Attended {
  weights: Weights,
  value: vec4f,
}

// The tiles of head g merged in order, of the four columns that \`showTiles\` has shown.
fn mergedTiles(g: u32, four: u32) -> Attended {
  var result = Attended(Weights(LOWEST, 0.0), vec4f(0.0));
  for (var tile = 0u; tile < TILES; tile++) {
    let added = tileWeights[g * TILES + tile];
    let shares = sharesOf(result.weights, added);
    result.value = mergedValues(result.value, tileValues[tile * FOURS + four], shares);
    result.weights = merged(result.weights, added, shares);
  }
  return result;
}
`,
  'attention-end': `// The last step of attention: the division by the sum of weights, in which a head's sink has its share.

// f32 [heads]
@group(0) @binding(8) var<storage, read> sinks: array<f32>;

fn finished(value: vec4f, weights: Weights, head: u32) -> vec4f {
  if (SINKS) {
    let sink = Weights(sinks[head], 1.0);
    let shares = sharesOf(weights, sink);
    return value * shares.before / merged(weights, sink, shares).total;
  }
  return value / weights.total;
}
`,
  'attention-group': `// What the attention kernels share: the order in which a row's positions are summed, whatever kernel takes the row.
//
// Positions are cut by absolute position into tiles of 32, and eight tiles make a split. A tile has its greatest score m, the
// weights e^(score − m), their sum l and o = Σ weight · v, both in the order of positions. Tiles are merged in order into
// their split, and splits in order into the result: m' = max(m, mₜ), l' = l·e^(m−m') + lₜ·e^(mₜ−m'), o likewise. So a row's
// bits depend on its own positions alone. A tile or split of which a row sees nothing changes no bit.
// Source of the merge: Milakov and Gimelshein, arXiv:1805.02867; of the tiles: Dao et al., arXiv:2205.14135.

struct Params {
  heads: u32,
  kvHeads: u32,
  // Groups that share a K/V head.
  groups: u32,
  stride: u32,
  outStride: u32,
  window: u32,
  scale: f32,
  softcap: f32,
}

const HEAD_DIM: u32 = 64u;
const FOURS: u32 = HEAD_DIM / 4u;
// Query heads that one workgroup takes together; they share a K/V head.
const GROUP: u32 = 1u;
const SPLIT: u32 = 256u;
const TILE: u32 = 32u;
const TILES: u32 = SPLIT / TILE;
const LOWEST: f32 = -3.0e38;
const SOFTCAP: bool = false;
const SINKS: bool = false;

// First position that a row at \`position\` sees.
fn firstVisible(position: u32) -> u32 {
  if (params.window == 0u || position < params.window) {
    return 0u;
  }
  return position - params.window + 1u;
}

fn capped(score: f32) -> f32 {
  if (SOFTCAP) {
    return params.softcap * tanh(clamp(score / params.softcap, -15.0, 15.0));
  }
  return score;
}

// m and l of tiles or splits so far.
struct Weights {
  most: f32,
  total: f32,
}

// What the values of both sides are to be multiplied by in their merge.
struct Shares {
  before: f32,
  added: f32,
}

fn sharesOf(before: Weights, added: Weights) -> Shares {
  let most = max(before.most, added.most);
  return Shares(exp(before.most - most), exp(added.most - most));
}

fn merged(before: Weights, added: Weights, shares: Shares) -> Weights {
  return Weights(max(before.most, added.most), fma(before.total, shares.before, added.total * shares.added));
}

fn mergedValues(before: vec4f, added: vec4f, shares: Shares) -> vec4f {
  return fma(before, vec4f(shares.before), added * shares.added);
}

// Rows that stand alone in their sequence, or all, where the heads do not suit the kernel for runs of rows.
const ALL_ROWS: bool = false;

fn attendedRows() -> u32 {
  return select(step[8], step[0], ALL_ROWS);
}

fn attendedRow(i: u32) -> u32 {
  if (ALL_ROWS) {
    return i;
  }
  return step[step[9] + i];
}

fn attendedSplits() -> u32 {
  return select(step[10], step[7], ALL_ROWS);
}
`,
  'attention-merge': `// Merges the splits of each lone row and head, from first to last, as \`attention.wgsl\` does on its way.
//
// partials  vec4 [lone rows, heads, splits, 1 + FOURS]
// out       f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// One workgroup for each head of each row; follows \`attention-group.wgsl\`, \`attention-end.wgsl\` and \`quantize-four.wgsl\`.
// Bound by memory.

@group(0) @binding(4) var<storage, read> partials: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let lone = index / params.heads;
  let head = index % params.heads;
  if (lone >= attendedRows()) {
    return;
  }
  let row = attendedRow(lone);
  let splits = attendedSplits();
  let position = positionOf(row);
  let at = row * (params.outStride / 4u) + head * FOURS;
  for (var start = 0u; start < FOURS; start += THREADS) {
    let four = start + thread;
    var value = vec4f(0.0);
    if (four < FOURS) {
      var weights = Weights(LOWEST, 0.0);
      for (var split = firstVisible(position) / SPLIT; split <= position / SPLIT; split++) {
        let begin = (index * splits + split) * (FOURS + 1u);
        let added = Weights(partials[begin].x, partials[begin].y);
        let shares = sharesOf(weights, added);
        value = mergedValues(value, partials[begin + 1u + four], shares);
        weights = merged(weights, added, shares);
      }
      value = finished(value, weights, head);
      out[at + four] = value;
    }
    if (QUANTIZE) {
      maximaBarrier();
      noteFour(value, 0u, thread);
      maximaBarrier();
      if (four < FOURS) {
        storeCodes(value, at + four, 0u, thread);
      }
    }
  }
}
`,
  'attention-prompt': `// Attention of up to 32 rows that follow one another in one sequence (prompts): they share what they read of the cache.
//
// qkv  f32 [token rows, stride], the query heads first, as vectors
// out  f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// A workgroup takes a run of rows (\`runRow\`) and GROUP heads, 32 · GROUP lines, and walks the tiles of 32 positions that any
// of them sees. Keys, queries and values come to workgroup memory 32 columns at a time, each while the products of those
// before are made; the longest runs begin first. A thread computes 4 lines × 4 positions of the scores, then 4 lines × 4
// columns of the values, and keeps o of the split for its lines; what earlier splits came to waits in \`out\`. In the order of
// \`attention-group.wgsl\`, which it follows with a \`cache-*.wgsl\`, \`attention-end.wgsl\` and \`quantize-four.wgsl\`.
//
// Bound by reads of workgroup memory: 2 of 16 bytes for 16 products. More results a thread would take more registers than
// there are beside o, 64 of them for heads of 128.

@group(0) @binding(4) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

const RUN: u32 = 32u;
const LINES: u32 = RUN * GROUP;
const LINE_FOURS: u32 = LINES / 4u;
const THREADS: u32 = LINES * 2u;
const FOUR: u32 = 4u;
// Pieces of 32 columns of a head: HEAD_DIM / 32.
const PIECES: u32 = 2u;
// Vectors of a piece that a thread brings.
const QUERY_LOADS: u32 = 8u * LINES / THREADS;
const CACHE_LOADS: u32 = 256u / THREADS;

// Queries [32 columns, LINES], four lines a vector, those of column c at their number ^ (c / 4); then scores and weights
// [32 positions, LINES].
var<workgroup> lineTile: array<vec4f, 8u * LINES>;
// Keys [32 columns, 32 positions], four positions a vector; then values [32 positions, 32 columns].
var<workgroup> cacheTile: array<vec4f, 256>;
// [LINES]: of the tile, of the split so far, of all splits before; and how the tile is merged into the split.
var<workgroup> tileLines: array<Weights, LINES>;
var<workgroup> splitLines: array<Weights, LINES>;
var<workgroup> beforeLines: array<Weights, LINES>;
var<workgroup> lineShares: array<Shares, LINES>;

// o of the split, [PIECES, 4 lines]. Loops over it are written out, so that it stays in registers.
var<private> splitValues: array<vec4f, PIECES * 4u>;
// First and last position that each of the thread's lines sees.
var<private> lowest: vec4u;
var<private> highest: vec4u;
// What comes next, as it lies in memory: to widen it would be to wait for it. And the two pages of its tile.
var<private> nextQueries: array<vec4f, QUERY_LOADS>;
var<private> nextCached: array<Stored, CACHE_LOADS>;
var<private> pages: vec2u;

struct Run {
  firstRow: u32,
  rows: u32,
  slot: u32,
  // Of the first row.
  position: u32,
}

fn lineRow(run: Run, line: u32) -> u32 {
  return run.firstRow + min(line / GROUP, run.rows - 1u);
}

fn lastPosition(run: Run) -> u32 {
  return run.position + run.rows - 1u;
}

fn visibleLines(p: u32) -> vec4<bool> {
  return (vec4u(p) >= lowest) & (vec4u(p) <= highest);
}

fn noteVisible(run: Run, four: u32) {
  //# for k in FOUR
  {
    let row = (4u * four + $ku) / GROUP;
    let position = run.position + row;
    // None for lines beyond the run.
    lowest[$k] = select(1u, firstVisible(position), row < run.rows);
    highest[$k] = select(0u, position, row < run.rows);
  }
  //# end
}

fn findPages(run: Run, tile: u32, kvHead: u32) {
  let second = min(2u * tile + 1u, lastPosition(run) / 16u);
  pages = vec2u(blockOf(run.slot, 2u * tile), blockOf(run.slot, second)) * params.kvHeads + kvHead;
}

// A position of the tile, or the last one that there is, since what no row sees may be anything: its page, and where there.
fn placeOf(run: Run, tile: u32, i: u32) -> vec2u {
  let p = min(tile * TILE + i, lastPosition(run));
  return vec2u(select(pages.x, pages.y, p / 16u != 2u * tile), p % 16u);
}

// Queries and keys of columns 32 · piece …
fn loadKeys(run: Run, tile: u32, piece: u32, firstHead: u32, thread: u32) {
  for (var n = 0u; n < QUERY_LOADS; n++) {
    let i = thread + n * THREADS;
    let line = i / 8u;
    let head = firstHead + line % GROUP;
    nextQueries[n] = qkv[lineRow(run, line) * (params.stride / 4u) + head * FOURS + 8u * piece + i % 8u];
  }
  for (var n = 0u; n < CACHE_LOADS; n++) {
    let i = thread + n * THREADS;
    let place = placeOf(run, tile, i % 32u);
    nextCached[n] = storedKey(place.x, 8u * piece + i / 32u, place.y);
  }
}

// Queries times the scale, and keys.
fn keepKeys(thread: u32) {
  for (var n = 0u; n < QUERY_LOADS; n++) {
    let i = thread + n * THREADS;
    let line = i / 8u;
    let query = nextQueries[n] * params.scale;
    //# for j in FOUR
    lineTile[(4u * (i % 8u) + $ju) * LINE_FOURS + ((line / 4u) ^ (i % 8u))][line % 4u] = query[$j];
    //# end
  }
  for (var n = 0u; n < CACHE_LOADS; n++) {
    let i = thread + n * THREADS;
    let key = fourOfStored(nextCached[n]);
    //# for j in FOUR
    cacheTile[(4u * (i / 32u) + $ju) * 8u + i % 32u / 4u][i % 4u] = key[$j];
    //# end
  }
}

// Values of columns 32 · piece …
fn loadValues(run: Run, tile: u32, piece: u32, thread: u32) {
  for (var n = 0u; n < CACHE_LOADS; n++) {
    let i = thread + n * THREADS;
    let place = placeOf(run, tile, i / 8u);
    nextCached[n] = storedValue(place.x, 8u * piece + i % 8u, place.y);
  }
}

// Zeros where no row sees them, since weights of zero do not undo a NaN.
fn keepValues(run: Run, tile: u32, thread: u32) {
  for (var n = 0u; n < CACHE_LOADS; n++) {
    let i = thread + n * THREADS;
    let p = tile * TILE + i / 8u;
    let isSeen = p >= firstVisible(run.position) && p <= lastPosition(run);
    cacheTile[i] = select(vec4f(0.0), fourOfStored(nextCached[n]), isSeen);
  }
}

// Scores of the thread's 4 lines and 4 positions become weights in \`lineTile\`; \`tileLines\` and \`lineShares\` follow.
fn weigh(sums: array<vec4f, 4>, start: u32, thread: u32) {
  let four = thread / 8u;
  let firstOffset = thread % 8u * 4u;
  workgroupBarrier();
  //# for j in FOUR
  {
    let score = vec4f(capped(sums[$j].x), capped(sums[$j].y), capped(sums[$j].z), capped(sums[$j].w));
    lineTile[(firstOffset + $ju) * LINE_FOURS + four] =
      select(vec4f(LOWEST), score, visibleLines(start + firstOffset + $ju));
  }
  //# end
  workgroupBarrier();
  if (thread < LINES) {
    var most = LOWEST;
    for (var p = 0u; p < 32u; p++) {
      most = max(most, lineTile[p * LINE_FOURS + thread / 4u][thread % 4u]);
    }
    tileLines[thread].most = most;
  }
  workgroupBarrier();
  //# for j in FOUR
  {
    let at = (firstOffset + $ju) * LINE_FOURS + four;
    let scores = lineTile[at];
    var weights: vec4f;
    //# for k in FOUR
    weights[$k] = exp(scores[$k] - tileLines[4u * four + $ku].most);
    //# end
    lineTile[at] = select(vec4f(0.0), weights, visibleLines(start + firstOffset + $ju));
  }
  //# end
  workgroupBarrier();
  if (thread < LINES) {
    var total = 0.0;
    for (var p = 0u; p < 32u; p++) {
      total += lineTile[p * LINE_FOURS + thread / 4u][thread % 4u];
    }
    let added = Weights(tileLines[thread].most, total);
    let shares = sharesOf(splitLines[thread], added);
    lineShares[thread] = shares;
    splitLines[thread] = merged(splitLines[thread], added, shares);
  }
}

// Merges the split into what came before it, in \`out\`; the last one leaves the result.
fn endSplit(run: Run, isFirst: bool, isLast: bool, firstHead: u32, thread: u32) {
  //# for k in FOUR
  {
    let line = thread / 8u * 4u + $ku;
    let head = firstHead + line % GROUP;
    let shares = sharesOf(beforeLines[line], splitLines[line]);
    let weights = merged(beforeLines[line], splitLines[line], shares);
    let isStored = line / GROUP < run.rows;
    //# for piece in PIECES
    {
      let at = lineRow(run, line) * (params.outStride / 4u) + head * FOURS + 8u * $pieceu + thread % 8u;
      var before = vec4f(0.0);
      if (!isFirst && isStored) {
        before = out[at];
      }
      var value = mergedValues(before, splitValues[4u * $pieceu + $ku], shares);
      splitValues[4u * $pieceu + $ku] = vec4f(0.0);
      if (isLast) {
        value = finished(value, weights, head);
      }
      if (isStored) {
        out[at] = value;
      }
      if (QUANTIZE && isLast) {
        maximaBarrier();
        noteFour(value, 0u, thread);
        maximaBarrier();
        if (isStored) {
          storeCodes(value, at, 0u, thread);
        }
      }
    }
    //# end
  }
  //# end
  workgroupBarrier();
  if (thread < LINES) {
    beforeLines[thread] = merged(
      beforeLines[thread], splitLines[thread], sharesOf(beforeLines[thread], splitLines[thread]),
    );
    splitLines[thread] = Weights(LOWEST, 0.0);
  }
  workgroupBarrier();
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let perRun = params.kvHeads * params.groups;
  if (index / perRun >= step[11]) {
    return;
  }
  let kvHead = index % perRun / params.groups;
  let firstHead = index % perRun * GROUP;
  // A step's later runs are mostly those of later positions, which take longer.
  let at = step[12] + 2u * (step[11] - 1u - index / perRun);
  let run = Run(step[at], step[at + 1u], slotOf(step[at]), positionOf(step[at]));
  let four = thread / 8u;
  noteVisible(run, four);
  if (thread < LINES) {
    splitLines[thread] = Weights(LOWEST, 0.0);
    beforeLines[thread] = Weights(LOWEST, 0.0);
  }
  //# for piece in PIECES
  //# for k in FOUR
  splitValues[4u * $pieceu + $ku] = vec4f(0.0);
  //# end
  //# end

  let firstTile = firstVisible(run.position) / TILE;
  let lastTile = lastPosition(run) / TILE;
  findPages(run, firstTile, kvHead);
  loadKeys(run, firstTile, 0u, firstHead, thread);
  for (var tile = firstTile; tile <= lastTile; tile++) {
    var sums = array<vec4f, 4>();
    for (var piece = 0u; piece < PIECES; piece++) {
      workgroupBarrier();
      keepKeys(thread);
      workgroupBarrier();
      if (piece + 1u < PIECES) {
        loadKeys(run, tile, piece + 1u, firstHead, thread);
      } else {
        loadValues(run, tile, 0u, thread);
      }
      for (var c = 0u; c < 8u; c++) {
        //# for j in FOUR
        {
          let query = lineTile[(4u * c + $ju) * LINE_FOURS + (four ^ c)];
          let key = cacheTile[(4u * c + $ju) * 8u + thread % 8u];
          sums[0] = fma(vec4f(key.x), query, sums[0]);
          sums[1] = fma(vec4f(key.y), query, sums[1]);
          sums[2] = fma(vec4f(key.z), query, sums[2]);
          sums[3] = fma(vec4f(key.w), query, sums[3]);
        }
        //# end
      }
    }
    weigh(sums, tile * TILE, thread);
    //# for piece in PIECES
    {
      workgroupBarrier();
      keepValues(run, tile, thread);
      workgroupBarrier();
      if ($pieceu + 1u < PIECES) {
        loadValues(run, tile, $pieceu + 1u, thread);
      } else if (tile < lastTile) {
        findPages(run, tile + 1u, kvHead);
        loadKeys(run, tile + 1u, 0u, firstHead, thread);
      }
      var added = array<vec4f, 4>();
      for (var p = 0u; p < 32u; p++) {
        let weight = lineTile[p * LINE_FOURS + four];
        let value = cacheTile[p * 8u + thread % 8u];
        added[0] = fma(vec4f(weight.x), value, added[0]);
        added[1] = fma(vec4f(weight.y), value, added[1]);
        added[2] = fma(vec4f(weight.z), value, added[2]);
        added[3] = fma(vec4f(weight.w), value, added[3]);
      }
      //# for k in FOUR
      splitValues[4u * $pieceu + $ku] =
        mergedValues(splitValues[4u * $pieceu + $ku], added[$k], lineShares[4u * four + $ku]);
      //# end
    }
    //# end
    let isLast = tile == lastTile;
    if (isLast || tile % TILES == TILES - 1u) {
      endSplit(run, tile / TILES == firstTile / TILES, isLast, firstHead, thread);
    }
  }
}
`,
  'attention-split': `// One split of one row's attention, for few rows with long contexts: the splits of a row run side by side.
//
// partials  vec4 [lone rows, heads, splits, 1 + FOURS]: m and l of each split, then o; see \`attention-group.wgsl\`
//
// One workgroup for each split of each group of heads of each row. Follows \`attention-chunk.wgsl\`; \`attention-merge.wgsl\`
// merges. Bound by memory: keys and values are read once for all heads of a group.

@group(0) @binding(7) var<storage, read_write> partials: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let splits = attendedSplits();
  let split = index % splits;
  let perRow = params.kvHeads * params.groups;
  let lone = index / splits / perRow;
  if (lone >= attendedRows()) {
    return;
  }
  let row = attendedRow(lone);
  let kvHead = index / splits % perRow / params.groups;
  let firstHead = index / splits % perRow * GROUP;
  let position = positionOf(row);
  let first = max(firstVisible(position), split * SPLIT);
  let last = min(position, split * SPLIT + SPLIT - 1u);
  if (first > last) {
    return;
  }
  loadQuery(row, firstHead, thread);
  attend(slotOf(row), kvHead, first, last, thread);
  for (var g = 0u; g < GROUP; g++) {
    showTiles(g, thread);
    let at = ((lone * params.heads + firstHead + g) * splits + split) * (FOURS + 1u);
    for (var four = thread; four < FOURS; four += THREADS) {
      let result = mergedTiles(g, four);
      partials[at + 1u + four] = result.value;
      if (four == 0u) {
        partials[at] = vec4f(result.weights.most, result.weights.total, 0.0, 0.0);
      }
    }
  }
}
`,
  attention: `// softmax(scale · q·Kᵀ) · V over paged keys and values, causal, optionally windowed; all splits of a row in one workgroup.
//
// out  f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// For rows that stand alone in their sequence. One workgroup for each group of heads of each row; it walks the splits and
// merges as it goes. Follows \`attention-chunk.wgsl\`, \`attention-end.wgsl\` and \`quantize-four.wgsl\`. Bound by memory.

@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

// [GROUP, FOURS]: of the splits so far.
var<workgroup> running: array<Attended, GROUP * FOURS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let perRow = params.kvHeads * params.groups;
  if (index / perRow >= attendedRows()) {
    return;
  }
  let row = attendedRow(index / perRow);
  let kvHead = index % perRow / params.groups;
  let firstHead = index % perRow * GROUP;
  let slot = slotOf(row);
  let position = positionOf(row);
  loadQuery(row, firstHead, thread);
  for (var i = thread; i < GROUP * FOURS; i += THREADS) {
    running[i] = Attended(Weights(LOWEST, 0.0), vec4f(0.0));
  }
  for (var first = firstVisible(position); first <= position; first = (first / SPLIT + 1u) * SPLIT) {
    let last = min(position, first / SPLIT * SPLIT + SPLIT - 1u);
    attend(slot, kvHead, first, last, thread);
    for (var g = 0u; g < GROUP; g++) {
      showTiles(g, thread);
      for (var four = thread; four < FOURS; four += THREADS) {
        let before = running[g * FOURS + four];
        let added = mergedTiles(g, four);
        let shares = sharesOf(before.weights, added.weights);
        running[g * FOURS + four] = Attended(
          merged(before.weights, added.weights, shares),
          mergedValues(before.value, added.value, shares),
        );
      }
    }
    // The next split overwrites the weights.
    workgroupBarrier();
  }

  for (var g = 0u; g < GROUP; g++) {
    let at = row * (params.outStride / 4u) + (firstHead + g) * FOURS;
    for (var start = 0u; start < FOURS; start += THREADS) {
      let four = start + thread;
      var value = vec4f(0.0);
      if (four < FOURS) {
        let result = running[g * FOURS + four];
        value = finished(result.value, result.weights, firstHead + g);
        out[at + four] = value;
      }
      if (QUANTIZE) {
        maximaBarrier();
        noteFour(value, 0u, thread);
        maximaBarrier();
        if (four < FOURS) {
          storeCodes(value, at + four, 0u, thread);
        }
      }
    }
  }
}
`,
  'cache-f16': `// Keys and values in half precision, in the order of \`cache-f32.wgsl\`. Follows a \`widen-*.wgsl\`.

@group(0) @binding(5) var<storage, read> keys: array<vec2u>;
@group(0) @binding(6) var<storage, read> values: array<vec2u>;

// What is read at a time: four columns.
alias Stored = vec2u;

fn fourOfStored(four: Stored) -> vec4f {
  return widened(four);
}

// Columns 4i … 4i+3 of a position's key; \`page\` counts the K/V heads of all blocks.
fn storedKey(page: u32, i: u32, inPage: u32) -> Stored {
  return keys[(page * FOURS + i) * 16u + inPage];
}

fn storedValue(page: u32, i: u32, inPage: u32) -> Stored {
  return values[(page * 16u + inPage) * FOURS + i];
}
`,
  'cache-f32': `// Keys and values as floats.
//
// keys    vec4 [blocks, kvHeads, HEAD_DIM/4, 16 positions]: threads that take a position each read along
// values  vec4 [blocks, kvHeads, 16 positions, HEAD_DIM/4]

@group(0) @binding(5) var<storage, read> keys: array<vec4f>;
@group(0) @binding(6) var<storage, read> values: array<vec4f>;

// What is read at a time: four columns.
alias Stored = vec4f;

fn fourOfStored(four: Stored) -> vec4f {
  return four;
}

// Columns 4i … 4i+3 of a position's key; \`page\` counts the K/V heads of all blocks.
fn storedKey(page: u32, i: u32, inPage: u32) -> Stored {
  return keys[(page * FOURS + i) * 16u + inPage];
}

fn storedValue(page: u32, i: u32, inPage: u32) -> Stored {
  return values[(page * 16u + inPage) * FOURS + i];
}
`,
  'cache-i8': `// Keys and values as bytes, four a word. A page, a K/V head of a block, begins with the scales of its 16 positions as floats.
//
// keys    [blocks, kvHeads, 16 scales then HEAD_DIM/4 × 16 positions]
// values  [blocks, kvHeads, 16 scales then 16 positions × HEAD_DIM/4]

@group(0) @binding(5) var<storage, read> keys: array<u32>;
@group(0) @binding(6) var<storage, read> values: array<u32>;

const PAGE_WORDS: u32 = 16u + 16u * FOURS;

// What is read at a time: four columns, and the scale of their position.
struct Stored {
  word: u32,
  scale: f32,
}

fn fourOfStored(four: Stored) -> vec4f {
  let bytes = vec4i(vec4u(four.word << 24u, four.word << 16u, four.word << 8u, four.word));
  return vec4f(bytes >> vec4u(24u)) * four.scale;
}

// Columns 4i … 4i+3 of a position's key; \`page\` counts the K/V heads of all blocks.
fn storedKey(page: u32, i: u32, inPage: u32) -> Stored {
  let at = page * PAGE_WORDS;
  return Stored(keys[at + 16u + i * 16u + inPage], bitcast<f32>(keys[at + inPage]));
}

fn storedValue(page: u32, i: u32, inPage: u32) -> Stored {
  let at = page * PAGE_WORDS;
  return Stored(values[at + 16u + inPage * FOURS + i], bitcast<f32>(values[at + inPage]));
}
`,
  'codes-bytes': `// Weights of eight bits a column: a row begins with two vectors of signed bytes for each block of 32 columns. What the codes
// mean is told by a \`factors-*.wgsl\`.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_VECTORS: u32 = 2u;

fn codesOf(base: u32, block: u32) -> Codes {
  let at = base + 2u * block;
  return Codes(weights[at], weights[at + 1u]);
}
`,
  'codes-nibbles': `// Weights of four bits a column: a row begins with one vector for each block of 32 columns, whose byte i holds column i in
// its low nibble and column i + 16 in its high one. What the codes mean is told by a \`factors-*.wgsl\`.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_VECTORS: u32 = 1u;

fn codesOf(base: u32, block: u32) -> Codes {
  let pairs = weights[base + block];
  return Codes(pairs & vec4u(0x0f0f0f0fu), (pairs >> vec4u(4u)) & vec4u(0x0f0f0f0fu));
}
`,
  'codes-table': `// As \`codes-nibbles.wgsl\`, but a nibble stands for one of the 16 values of a \`table-*.wgsl\` before this.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_VECTORS: u32 = 1u;

// The values of four nibbles, a byte each.
fn lookUp(nibbles: u32) -> u32 {
  var values = 0u;
  for (var shift = 0u; shift < 32u; shift += 8u) {
    let nibble = (nibbles >> shift) & 15u;
    values |= ((VALUES[nibble >> 2u] >> (8u * (nibble & 3u))) & 0xffu) << shift;
  }
  return values;
}

fn lookUpAll(nibbles: vec4u) -> vec4u {
  return vec4u(lookUp(nibbles.x), lookUp(nibbles.y), lookUp(nibbles.z), lookUp(nibbles.w));
}

fn codesOf(base: u32, block: u32) -> Codes {
  let pairs = weights[base + block];
  return Codes(lookUpAll(pairs & vec4u(0x0f0f0f0fu)), lookUpAll((pairs >> vec4u(4u)) & vec4u(0x0f0f0f0fu)));
}
`,
  'dot-block': `// Σ code · activation over a block of 32 columns, exact; follows a file that declares \`dotBytes\` and one with \`Codes\`.

// A block of one row of x: signed bytes and their scale, and what the weights' offset is multiplied by.
struct XBlock {
  low: vec4u,
  high: vec4u,
  scale: f32,
  sum: i32,
}

fn dotHalf(a: vec4u, b: vec4u) -> i32 {
  return dotBytes(a.x, b.x) + dotBytes(a.y, b.y) + dotBytes(a.z, b.z) + dotBytes(a.w, b.w);
}

fn xBlock(low: vec4u, high: vec4u, scale: f32) -> XBlock {
  let ones = vec4u(0x01010101u);
  if (CODE_OFFSET == 0) {
    return XBlock(low, high, scale, 0);
  }
  return XBlock(low, high, scale, dotHalf(ones, low) + dotHalf(ones, high));
}

fn dotBlock(codes: Codes, x: XBlock) -> i32 {
  return dotHalf(codes.low, x.low) + dotHalf(codes.high, x.high) - CODE_OFFSET * x.sum;
}
`,
  'dot-packed': `// The product of two vectors of four signed bytes, by the GPU's own instruction where it has one.
requires packed_4x8_integer_dot_product;

fn dotBytes(a: u32, b: u32) -> i32 {
  return dot4I8Packed(a, b);
}
`,
  'dot-plain': `// The product of two vectors of four signed bytes, in plain integer arithmetic.

fn fourBytes(word: u32) -> vec4i {
  return bitcast<vec4i>(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u);
}

fn dotBytes(a: u32, b: u32) -> i32 {
  return dot(fourBytes(a), fourBytes(b));
}
`,
  embed: `// out[r] = table[tokens[r]] · scale
//
// weights  rows firstRow … hold the table's rows firstToken … firstToken + rows, \`vectors\` vectors of four words each
// out      f32 [token rows, stride]
//
// One thread for four columns; a table in several buffers takes one dispatch each, and a row is written by the one that
// holds its token. Bound by memory: one row read and one written.

struct Params {
  vectors: u32,
  blocks: u32,
  firstRow: u32,
  firstToken: u32,
  rows: u32,
  cols: u32,
  stride: u32,
  scale: f32,
}

@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let fours = params.stride / 4u;
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / fours;
  let i = index % fours;
  if (row >= rowsOf(0u)) {
    return;
  }
  let token = tokenOf(row);
  if (token < params.firstToken || token - params.firstToken >= params.rows) {
    return;
  }
  let values = weightAt((params.firstRow + token - params.firstToken) * params.vectors, i) * params.scale;
  let at = row * params.stride + 4u * i;
  for (var j = 0u; j < 4u; j++) {
    if (4u * i + j < params.cols) {
      out[at + j] = values[j];
    }
  }
}
`,
  'enable-matrices': `// Begins a kernel that multiplies by matrix units: Dawn's experiment, in the spelling that names how rows lie.
enable subgroups;
enable chromium_experimental_subgroup_matrix;
// Which unit a subgroup takes is the same for all of its threads, but the compiler cannot see that.
diagnostic(off, chromium.subgroup_matrix_uniformity);
`,
  'expert-fused': `// What the kernels share that take experts' matrices together with the op that follows, for few routes. All matrices lie in
// one buffer, and the weight row of output o of expert e is firstRow + e · expertRows + o.

struct Params {
  blocks: u32,
  // Vectors of four words a weight row.
  vectors: u32,
  firstRow: u32,
  // The same of the up part, where the other is the gate.
  firstUpRow: u32,
  expertRows: u32,
  // Columns of the result.
  outs: u32,
  outStride: u32,
  // Routes that share a row of x.
  sharing: u32,
  limit: f32,
}

// u32 [routes]
@group(0) @binding(3) var<storage, read> chosen: array<u32>;
// f32 [experts, columns of the matrices]
@group(0) @binding(6) var<storage, read> bias: array<f32>;
const BIAS: bool = false;
`,
  'expert-gated': `// Experts' matrices and gated activation for a few routes (decode): activated[p] = act(gate(x[p])) · up(x[p]).
//
// A workgroup takes 32 columns of one route's result, so 64 weight rows; thread t computes segment t mod SEGMENTS of PAIRS
// gate rows and as many up rows. The same bits as \`expert-rows.wgsl\` and then \`gated-activation-rows.wgsl\` give. Follows
// \`expert-fused.wgsl\`, a \`product-*.wgsl\`, \`activate.wgsl\` and a \`keep-*.wgsl\`. Bound by memory: the chosen experts' weights.

const THREADS: u32 = 256u;
const SEGMENTS: u32 = 32u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
const TEAMS: u32 = THREADS / SEGMENTS;
// 32 / TEAMS, and twice that.
const PAIRS: u32 = 4u;
const OUTS: u32 = 8u;
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, gate and up, PAIRS], of segments each.
var<workgroup> sums: array<f32, 64u * PITCH>;
var<workgroup> totals: array<f32, 64>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * 32u;
  let route = id.z;
  if (firstOut >= params.outs) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  let expert = chosen[route];
  let firstRow = expert * params.expertRows + firstOut + team * PAIRS;
  //# for j in OUTS
  let base$j = (select(params.firstRow, params.firstUpRow, $ju >= PAIRS) + firstRow + $ju % PAIRS) * params.vectors;
  var partial$j = 0.0;
  //# end
  for (var block = segment; block < blocks; block += SEGMENTS) {
    //# for j in OUTS
    let loaded$j = loadBlock(base$j, block, blocks);
    //# end
    let row = loadRow(route / params.sharing, block, blocks);
    //# for j in OUTS
    partial$j = addBlock(loaded$j, row, partial$j);
    //# end
  }
  //# for j in OUTS
  sums[(team * OUTS + $ju) * PITCH + segment] = partial$j;
  //# end
  workgroupBarrier();
  if (thread < 64u) {
    var total = 0.0;
    for (var s = 0u; s < SEGMENTS; s++) {
      total += sums[thread * PITCH + s];
    }
    if (BIAS) {
      let j = thread % OUTS;
      let column = j / PAIRS * params.outs + firstOut + thread / OUTS * PAIRS + j % PAIRS;
      total += bias[expert * 2u * params.outs + column];
    }
    totals[thread] = total;
  }
  workgroupBarrier();
  var values = vec4f(0.0);
  if (thread < 8u) {
    for (var k = 0u; k < 4u; k++) {
      let column = 4u * thread + k;
      let gate = column / PAIRS * OUTS + column % PAIRS;
      values[k] = gated(totals[gate], totals[gate + PAIRS], params.limit);
    }
  }
  keepBlock(values, (route * params.outs + firstOut) / 4u + thread, thread);
}
`,
  'expert-group': `// What the kernels of experts' matrices share: out[p][o] = Σ x[p / sharing][k] · W[e][o][k] + bias[e][o], e = chosen[p].
//
// weights  the experts' matrices one under the other, expertRows each, of which the buffer holds \`rows\` from \`part\` on
//
// Columns are summed as in \`linear-group.wgsl\`: block b in segment b mod \`segments\`, then the segments in order. So a row's result is the same whatever rows share its expert.

struct Params {
  blocks: u32,
  segments: u32,
  // Vectors of four words a weight row, and the first row of the buffer that is meant.
  vectors: u32,
  firstRow: u32,
  part: u32,
  rows: u32,
  expertRows: u32,
  outColumn: u32,
  outStride: u32,
  biasStride: u32,
  domain: u32,
  hasBias: u32,
  // Routes that share a row of x.
  sharing: u32,
}

// f32 [experts, biasStride]
@group(0) @binding(6) var<storage, read> bias: array<f32>;
// f32 [routes, outStride]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
// u32 [routes]
@group(0) @binding(8) var<storage, read> chosen: array<u32>;

// The row of all experts' rows that makes output o; beyond the last output the last one's.
fn rowOfExpert(expert: u32, o: u32) -> u32 {
  return expert * params.expertRows + min(o, params.expertRows - 1u);
}

fn weightRow(route: u32, o: u32) -> u32 {
  return rowOfExpert(chosen[route], o);
}

fn isHere(row: u32) -> bool {
  return row >= params.part && row - params.part < params.rows;
}

// Where the row's vectors begin; of a row that another buffer holds, those of the first.
fn baseOf(row: u32) -> u32 {
  return (params.firstRow + select(0u, row - params.part, isHere(row))) * params.vectors;
}

fn store(route: u32, o: u32, sum: f32) {
  if (o >= params.expertRows || !isHere(weightRow(route, o))) {
    return;
  }
  let column = params.outColumn + o;
  var result = sum;
  if (params.hasBias == 1u) {
    result += bias[chosen[route] * params.biasStride + column];
  }
  out[route * params.outStride + column] = result;
}
`,
  'expert-list': `// An expert's own routes, for a workgroup that takes all that go to one expert: it looks through the routes, LIST at a time.
// Their order in the list is as the threads happen to come, which changes no result. Follows \`expert-group.wgsl\`.

const LIST: u32 = 128u;

var<workgroup> list: array<u32, LIST>;
var<workgroup> listed: atomic<u32>;
var<workgroup> found: u32;

// Number of routes from \`first\` on that the list now holds; all threads call it together.
fn note(first: u32, expert: u32, thread: u32) -> u32 {
  if (thread == 0u) {
    atomicStore(&listed, 0u);
  }
  workgroupBarrier();
  let end = min(first + LIST, rowsOf(params.domain));
  for (var route = first + thread; route < end; route += THREADS) {
    if (chosen[route] == expert) {
      list[atomicAdd(&listed, 1u)] = route;
    }
  }
  workgroupBarrier();
  if (thread == 0u) {
    found = atomicLoad(&listed);
  }
  return workgroupUniformLoad(&found);
}
`,
  'expert-many-matrices': `// Experts' matrices for many routes (prompts) by matrix units: a workgroup takes TILE_OUTS outputs of one expert, for all routes
// that go there, a tile of \`matrix-tile.wgsl\` of them at a time. Follows that and \`expert-list.wgsl\`.

var<private> expert: u32;

// Routes and outputs beyond the end repeat the last one, and are not stored.
fn xRow(at: u32) -> u32 {
  return list[min(at, found - 1u)] / params.sharing;
}

fn weightBase(o: u32) -> u32 {
  return baseOf(rowOfExpert(expert, o));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) subgroupThreads: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  if (firstOut >= params.expertRows) {
    return;
  }
  expert = id.z;
  for (var start = 0u; start < rowsOf(params.domain); start += LIST) {
    let routes = note(start, id.z, thread);
    for (var first = 0u; first < routes; first += TILE_ROWS) {
      let results = tileResults(first, routes - first, firstOut, thread, subgroupThreads);
      for (var i = 0u; i < ROWS; i++) {
        let at = first + rowInTile(thread) + i * ROW_STEP;
        if (at < routes) {
          for (var j = 0u; j < 4u; j++) {
            store(list[at], firstOut + 4u * quadInTile(thread) + j, results[i][j]);
          }
        }
      }
      workgroupBarrier();
    }
  }
}
`,
  'expert-many': `// Experts' matrices for many routes (prompts): a workgroup takes OUTS · THREADS / SEGMENTS outputs of one expert, for all
// routes that go there.
//
// Of the expert's own routes (\`expert-list.wgsl\`) ROWS share one reading of the weights. Sums are those of \`expert-rows.wgsl\`.
// Follows \`expert-list.wgsl\` and a \`product-*.wgsl\`. Bound by memory, as long as few routes go to an expert.

const THREADS: u32 = 128u;
const OUTS: u32 = 1u;
const SEGMENTS: u32 = 32u;
const ROWS: u32 = 8u;
const TEAMS: u32 = THREADS / SEGMENTS;
// One more than there are segments, so that the threads that add them up read from different banks.
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, OUTS, ROWS], of segments each
var<workgroup> sums: array<f32, TEAMS * OUTS * ROWS * PITCH>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * (TEAMS * OUTS);
  let expert = id.z;
  if (firstOut >= params.expertRows) {
    return;
  }
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  var bases = array<u32, OUTS>();
  for (var j = 0u; j < OUTS; j++) {
    bases[j] = baseOf(rowOfExpert(expert, firstOut + team * OUTS + j));
  }
  for (var start = 0u; start < rowsOf(params.domain); start += LIST) {
    let routes = note(start, expert, thread);
    for (var first = 0u; first < routes; first += ROWS) {
      let rows = min(ROWS, routes - first);
      // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
      var partial = array<f32, OUTS * ROWS>();
      for (var block = segment; block < params.blocks; block += SEGMENTS) {
        var loaded: array<Block, OUTS>;
        for (var j = 0u; j < OUTS; j++) {
          loaded[j] = loadBlock(bases[j], block, params.blocks);
        }
        for (var r = 0u; r < ROWS; r++) {
          if (r < rows) {
            let row = loadRow(list[first + r] / params.sharing, block, params.blocks);
            for (var j = 0u; j < OUTS; j++) {
              partial[j * ROWS + r] = addBlock(loaded[j], row, partial[j * ROWS + r]);
            }
          }
        }
      }
      for (var i = 0u; i < OUTS * ROWS; i++) {
        sums[(team * OUTS * ROWS + i) * PITCH + segment] = partial[i];
      }
      workgroupBarrier();
      for (var i = thread; i < TEAMS * OUTS * ROWS; i += THREADS) {
        if (i % ROWS < rows) {
          var total = 0.0;
          for (var s = 0u; s < SEGMENTS; s++) {
            total += sums[i * PITCH + s];
          }
          store(list[first + i % ROWS], firstOut + i / ROWS, total);
        }
      }
      workgroupBarrier();
    }
  }
}
`,
  'expert-mix': `// Experts' matrices for the few routes of each token (decode), and the sum of their results, each times its weight.
//
// routeWeights  f32 [tokens, ROUTES]
// out           f32 [tokens, outStride]
//
// A workgroup takes OUTS · THREADS / SEGMENTS outputs of a token. Thread t computes segment t mod SEGMENTS of OUTS outputs of
// all ROUTES experts; then one thread a sum adds up the segments, and one an output the experts' sums in order. The same
// bits as \`expert-rows.wgsl\` and then \`mix-routes.wgsl\` give. Follows \`expert-fused.wgsl\` and a \`product-*.wgsl\`. Bound by
// memory: the chosen experts' weights.

@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read> routeWeights: array<f32>;

const THREADS: u32 = 128u;
const OUTS: u32 = 1u;
const ROUTES: u32 = 1u;
const SEGMENTS: u32 = 32u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
const TEAMS: u32 = THREADS / SEGMENTS;
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, OUTS, ROUTES], of segments each.
var<workgroup> sums: array<f32, TEAMS * OUTS * ROUTES * PITCH>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * (TEAMS * OUTS);
  let firstRoute = id.z * ROUTES;
  if (firstOut >= params.outs) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  //# for p in ROUTES
  let first$p = params.firstRow + chosen[firstRoute + $pu] * params.expertRows;
  //# for j in OUTS
  // Outputs beyond the end repeat the last one, and are not stored.
  let base$p_$j = (first$p + min(firstOut + team * OUTS + $ju, params.outs - 1u)) * params.vectors;
  var partial$p_$j = 0.0;
  //# end
  //# end
  for (var block = segment; block < blocks; block += SEGMENTS) {
    //# for p in ROUTES
    //# for j in OUTS
    let loaded$p_$j = loadBlock(base$p_$j, block, blocks);
    //# end
    //# end
    //# for p in ROUTES
    let row$p = loadRow((firstRoute + $pu) / params.sharing, block, blocks);
    //# for j in OUTS
    partial$p_$j = addBlock(loaded$p_$j, row$p, partial$p_$j);
    //# end
    //# end
  }
  //# for p in ROUTES
  //# for j in OUTS
  sums[((team * OUTS + $ju) * ROUTES + $pu) * PITCH + segment] = partial$p_$j;
  //# end
  //# end
  workgroupBarrier();
  for (var i = thread; i < TEAMS * OUTS * ROUTES; i += THREADS) {
    var total = 0.0;
    for (var s = 0u; s < SEGMENTS; s++) {
      total += sums[i * PITCH + s];
    }
    if (BIAS) {
      let o = min(firstOut + i / ROUTES, params.outs - 1u);
      total += bias[chosen[firstRoute + i % ROUTES] * params.outs + o];
    }
    // Its own segments are what nobody else reads.
    sums[i * PITCH] = total;
  }
  workgroupBarrier();
  for (var i = thread; i < TEAMS * OUTS; i += THREADS) {
    if (firstOut + i < params.outs) {
      var sum = 0.0;
      for (var p = 0u; p < ROUTES; p++) {
        sum = fma(routeWeights[firstRoute + p], sums[(i * ROUTES + p) * PITCH], sum);
      }
      out[id.z * params.outStride + firstOut + i] = sum;
    }
  }
}
`,
  'expert-plain': `// Experts' matrices in the plainest form: one thread a result, segments walked one after the other.
// Follows \`expert-group.wgsl\` and a \`product-*.wgsl\`.

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = workgroupIndex(id, count) * THREADS + thread;
  let route = id.z;
  if (o >= params.expertRows || route >= rowsOf(params.domain)) {
    return;
  }
  let base = baseOf(weightRow(route, o));
  var total = 0.0;
  for (var segment = 0u; segment < params.segments; segment++) {
    var sum = 0.0;
    for (var block = segment; block < params.blocks; block += params.segments) {
      sum = addBlock(loadBlock(base, block, params.blocks), loadRow(route / params.sharing, block, params.blocks), sum);
    }
    total += sum;
  }
  store(route, o, total);
}
`,
  'expert-rows': `// Experts' matrices, one row at a time: a workgroup takes OUTS · THREADS / SEGMENTS outputs of one route. Thread t computes
// segment t mod SEGMENTS of OUTS weight rows; then one thread a result adds up the segments. The same bits as
// \`expert-plain.wgsl\`. Follows \`expert-group.wgsl\` and a \`product-*.wgsl\`. Bound by memory: the chosen experts' weights.

const THREADS: u32 = 128u;
const OUTS: u32 = 1u;
const SEGMENTS: u32 = 32u;
const TEAMS: u32 = THREADS / SEGMENTS;
// One more than there are segments, so that the threads that add them up read from different banks.
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, OUTS], of segments each
var<workgroup> sums: array<f32, TEAMS * OUTS * PITCH>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * (TEAMS * OUTS);
  let route = id.z;
  if (firstOut >= params.expertRows || route >= rowsOf(params.domain)) {
    return;
  }
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  var bases = array<u32, OUTS>();
  for (var j = 0u; j < OUTS; j++) {
    bases[j] = baseOf(weightRow(route, firstOut + team * OUTS + j));
  }
  var partial = array<f32, OUTS>();
  for (var block = segment; block < params.blocks; block += SEGMENTS) {
    var loaded: array<Block, OUTS>;
    for (var j = 0u; j < OUTS; j++) {
      loaded[j] = loadBlock(bases[j], block, params.blocks);
    }
    let row = loadRow(route / params.sharing, block, params.blocks);
    for (var j = 0u; j < OUTS; j++) {
      partial[j] = addBlock(loaded[j], row, partial[j]);
    }
  }
  for (var j = 0u; j < OUTS; j++) {
    sums[(team * OUTS + j) * PITCH + segment] = partial[j];
  }
  workgroupBarrier();
  for (var i = thread; i < TEAMS * OUTS; i += THREADS) {
    var total = 0.0;
    for (var s = 0u; s < SEGMENTS; s++) {
      total += sums[i * PITCH + s];
    }
    store(route, firstOut + i, total);
  }
}
`,
  'factors-exponent': `// What codes are multiplied by: behind them an exponent e in 16 bits for each block, whose scale is 2^(e − 128). Below the
// least normal number it is taken as zero.

const HAS_MIN: bool = false;
const ONE_SCALE: bool = true;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let pair = weights[base + CODE_VECTORS * blocks + block / 8u][block / 2u % 4u];
  let exponent = (pair >> (16u * (block & 1u))) & 0xffffu;
  let scale = bitcast<f32>((max(exponent, 1u) - 1u) << 23u);
  return vec3f(scale, scale, 0.0);
}
`,
  'factors-half-min': `// What codes are multiplied by, and what is added: behind them a half-precision scale and a min for each block.

const HAS_MIN: bool = true;
const ONE_SCALE: bool = true;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let pair = unpack2x16float(weights[base + CODE_VECTORS * blocks + block / 4u][block % 4u]);
  return vec3f(pair.x, pair.x, pair.y);
}
`,
  'factors-half': `// What codes are multiplied by: behind them a half-precision scale for each block.

const HAS_MIN: bool = false;
const ONE_SCALE: bool = true;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let pair = unpack2x16float(weights[base + CODE_VECTORS * blocks + block / 8u][block / 2u % 4u]);
  let scale = select(pair.x, pair.y, (block & 1u) == 1u);
  return vec3f(scale, scale, 0.0);
}
`,
  'factors-k': `// What codes are multiplied by, and what is taken off: behind them, for each eight blocks, one vector as it stands in files
// of Q4_K and Q5_K: d and dmin in half precision, then 6-bit scales and mins of the blocks in twelve bytes.

const HAS_MIN: bool = true;
const ONE_SCALE: bool = true;

fn byteOf(header: vec4u, i: u32) -> u32 {
  return (header[1u + i / 4u] >> (8u * (i % 4u))) & 0xffu;
}

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let header = weights[base + CODE_VECTORS * blocks + block / 8u];
  let d = unpack2x16float(header.x);
  let s = block % 8u;
  var scale = byteOf(header, s) & 63u;
  var least = byteOf(header, s + 4u);
  if (s >= 4u) {
    let both = byteOf(header, s + 4u);
    scale = (both & 15u) | ((byteOf(header, s - 4u) >> 6u) << 4u);
    least = (both >> 4u) | ((byteOf(header, s) >> 6u) << 4u);
  }
  let factor = d.x * f32(scale);
  return vec3f(factor, factor, -(d.y * f32(least & 63u)));
}
`,
  'factors-q6-k': `// What codes are multiplied by: behind them, for each eight blocks, one vector of signed bytes, a scale for each 16 columns;
// then a half-precision d for each eight blocks, which these are multiplied by.

const HAS_MIN: bool = false;
const ONE_SCALE: bool = false;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let group = block / 8u;
  let scales = base + CODE_VECTORS * blocks;
  let word = weights[scales + group][block % 8u / 2u] >> (16u * (block & 1u));
  let pair = unpack2x16float(weights[scales + blocks / 8u + group / 8u][group / 2u % 4u]);
  let d = select(pair.x, pair.y, (group & 1u) == 1u);
  let low = f32(bitcast<i32>(word << 24u) >> 24u);
  let high = f32(bitcast<i32>(word << 16u) >> 24u);
  return vec3f(d * low, d * high, 0.0);
}
`,
  'gated-activation-rows': `// out[r][i] = act(x[r][i]) · x[r][n + i], n = cols, perhaps with a limit, and with QUANTIZE the 8-bit form of out[r].
//
// x    f32 [rows, xStride], as vectors: the gate, then the up part
// out  f32 [rows, cols], as vectors
//
// The form for rows of whole blocks of 32: a thread takes four columns. Follows \`quantize-four.wgsl\` and \`activate.wgsl\`.
// Bound by memory.

struct Params {
  cols: u32,
  xStride: u32,
  domain: u32,
  limit: f32,
}

@group(0) @binding(4) var<storage, read> x: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let fours = params.cols / 4u;
  let row = index / fours;
  let isStored = row < rowsOf(params.domain);
  var values = vec4f(0.0);
  if (isStored) {
    let at = row * (params.xStride / 4u) + index % fours;
    let gate = x[at];
    let up = x[at + fours];
    let limit = params.limit;
    values = vec4f(
      gated(gate.x, up.x, limit),
      gated(gate.y, up.y, limit),
      gated(gate.z, up.z, limit),
      gated(gate.w, up.w, limit),
    );
    out[index] = values;
  }
  if (QUANTIZE) {
    noteFour(values, 0u, thread);
    maximaBarrier();
    if (isStored) {
      storeCodes(values, index, 0u, thread);
    }
  }
}
`,
  'gated-activation': `// out[r][i] = act(x[r][i]) · x[r][n + i], n = cols, perhaps with a limit
//
// x    f32 [rows, xStride]: the gate, then the up part
// out  f32 [rows, outStride]
//
// One thread an element. Follows \`activate.wgsl\`. Bound by memory.

struct Params {
  cols: u32,
  xStride: u32,
  outStride: u32,
  domain: u32,
  limit: f32,
}

@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.cols;
  let i = index % params.cols;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.xStride + i;
  out[row * params.outStride + i] = gated(x[at], x[at + params.cols], params.limit);
}
`,
  'gather-rows': `// out[j] = x[logitRows[j]], and with QUANTIZE the 8-bit form of out[j].
//
// x    f32 [token rows, stride], as vectors
// out  f32 [logit rows, stride], as vectors
//
// One thread four columns, padding included. Follows \`quantize-four.wgsl\`. Bound by memory.

struct Params {
  stride: u32,
}

@group(0) @binding(4) var<storage, read> x: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let fours = params.stride / 4u;
  let row = index / fours;
  let isStored = row < rowsOf(1u);
  var values = vec4f(0.0);
  if (isStored) {
    values = x[logitRow(row) * fours + index % fours];
    out[index] = values;
  }
  if (QUANTIZE) {
    noteFour(values, 0u, thread);
    maximaBarrier();
    if (isStored) {
      storeCodes(values, index, 0u, thread);
    }
  }
}
`,
  'head-end': `// What becomes of a head of q, k or v once it is there: the norm, the rotation, and its place in \`qkv\` or the cache.
//
// rope  f32 [positions, ROTARY]: ROTARY/2 cosines, then as many sines
//
// Pairs are (i, i + ROTARY/2). LANES threads, a power of two, take the elements in turn; what further ones add to a sum over
// threads is zero and comes last, so that the sum is that of LANES. Follows \`sum-threads.wgsl\` and a file that declares
// \`normWeight\`, which gives element i of a norm, and \`keepQuery\`, which stores element i of a q head; a \`store-*.wgsl\` follows.
// Source: Su et al., arXiv:2104.09864.

@group(0) @binding(3) var<storage, read> rope: array<f32>;

const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 64u;
const FOURS: u32 = HEAD_DIM / 4u;
const ROTARY: u32 = HEAD_DIM;
const Q_NORM: bool = false;
const K_NORM: bool = false;
const LANES: u32 = 64u;

var<workgroup> head: array<f32, HEAD_DIM>;
// What goes to the cache.
var<workgroup> turned: array<f32, HEAD_DIM>;

// Columns 4i … 4i+3 of it.
fn headFour(i: u32) -> vec4f {
  return vec4f(turned[4u * i], turned[4u * i + 1u], turned[4u * i + 2u], turned[4u * i + 3u]);
}

fn rotated(i: u32, ropeRow: u32) -> f32 {
  let half = ROTARY / 2u;
  if (i >= 2u * half) {
    return head[i];
  }
  let at = ropeRow * ROTARY + i % half;
  let cos = rope[at];
  let sin = rope[at + half];
  if (i < half) {
    return fma(head[i], cos, -(head[i + half] * sin));
  }
  return fma(head[i], cos, head[i - half] * sin);
}

// Ends the head in \`head\`, whose element i the thread i mod LANES has put there. All threads call it together.
fn endHead(row: u32, h: u32, eps: f32, thread: u32) {
  let isQuery = h < HEADS;
  let isValue = h >= HEADS + KV_HEADS;
  // Beyond the lanes there is nothing to do.
  let first = select(HEAD_DIM, thread, thread < LANES);
  if ((isQuery && Q_NORM) || (!isQuery && !isValue && K_NORM)) {
    var squares = 0.0;
    for (var i = first; i < HEAD_DIM; i += LANES) {
      squares = fma(head[i], head[i], squares);
    }
    let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(HEAD_DIM) + eps);
    for (var i = first; i < HEAD_DIM; i += LANES) {
      head[i] = head[i] * scale * normWeight(isQuery, i);
    }
  }
  workgroupBarrier();
  for (var i = first; i < HEAD_DIM; i += LANES) {
    var value = head[i];
    if (!isValue) {
      value = rotated(i, ropeRowOf(row));
    }
    if (isQuery) {
      keepQuery(row, h, i, value);
    } else {
      turned[i] = value;
    }
  }
  workgroupBarrier();
  if (isQuery) {
    return;
  }
  let position = positionOf(row);
  let page = blockOf(slotOf(row), position / 16u) * KV_HEADS + (h - HEADS) % KV_HEADS;
  if (isValue) {
    storeValue(page, position % 16u, thread);
  } else {
    storeKey(page, position % 16u, thread);
  }
  workgroupBarrier();
}
`,
  'keep-codes': `// Keeps a block of 32 columns, of which each of the first eight threads brings four: in 8 bits alone. Follows
// \`quantize-four.wgsl\`; all threads call it together.

fn keepBlock(values: vec4f, four: u32, thread: u32) {
  noteFour(values, 0u, thread);
  maximaBarrier();
  if (thread < 8u) {
    storeCodes(values, four, 0u, thread);
  }
}
`,
  'keep-floats': `// Keeps a block of 32 columns, of which each of the first eight threads brings four: as floats.

// f32 [rows, columns], as vectors
@group(0) @binding(7) var<storage, read_write> kept: array<vec4f>;

fn keepBlock(values: vec4f, four: u32, thread: u32) {
  if (thread < 8u) {
    kept[four] = values;
  }
}
`,
  'last-group': `// How the workgroups of a dispatch hand their results to the last of them that is done, so that it does at once what needs
// them all, and no dispatch has to follow.
//
// WGSL's atomics keep no order between two places: that a workgroup has counted itself does not say that what it handed over
// is there to be seen. So each value says itself that it is there: a place holds 0 until then, and the bits of a number plus
// one afterwards. The last workgroup waits for values that are on their way, and leaves zeros for the next dispatch.
// Source: WGSL, "Memory model" and "Atomic Operations".
//
// exchange  u32: places for values and, apart from them, for counts, all zero between dispatches

@group(0) @binding(7) var<storage, read_write> exchange: array<atomic<u32>>;

var<workgroup> isLast: u32;

fn handOver(place: u32, value: f32) {
  let bits = bitcast<u32>(value);
  // The one number of whose bits nothing would be left is a NaN, and becomes another.
  atomicStore(&exchange[place], select(bits + 1u, bits, bits == 0xffffffffu));
}

// What is at a place so far. Several can be on their way at once; then each is taken.
fn peek(place: u32) -> u32 {
  return atomicLoad(&exchange[place]);
}

fn take(place: u32, peeked: u32) -> f32 {
  var bits = peeked;
  while (bits == 0u) {
    bits = atomicLoad(&exchange[place]);
  }
  atomicStore(&exchange[place], 0u);
  return bitcast<f32>(bits - 1u);
}

fn takeOver(place: u32) -> f32 {
  return take(place, peek(place));
}

// True in all threads of the last of \`groups\` workgroups that count themselves at a place; all threads call it together.
fn isLastOf(place: u32, groups: u32, thread: u32) -> bool {
  workgroupBarrier();
  if (thread == 0u) {
    isLast = 0u;
    if (atomicAdd(&exchange[place], 1u) + 1u == groups) {
      atomicStore(&exchange[place], 0u);
      isLast = 1u;
    }
  }
  return workgroupUniformLoad(&isLast) == 1u;
}
`,
  'linear-few-rows': `// linear for a few rows of x (decode): each weight is read once for ROWS rows, and each row of x once for OUTS weights.
//
// A workgroup takes OUTS · THREADS / SEGMENTS weight rows and ROWS rows of x. Thread t computes segment t mod SEGMENTS of
// OUTS weight rows, so that neighbouring threads read neighbouring blocks; then one thread a result adds up the segments.
// Follows \`linear-group.wgsl\` and a \`product-*.wgsl\`. Bound by memory: the weights.
//
// Tile sizes: loads in flight hide the memory's latency, so that a thread has OUTS · STEPS of them at a time. A matrix of few
// rows takes fewer OUTS, or there are too few workgroups for the GPU, and more STEPS. With BLOCKS a constant, compilers
// unroll the loop.

const THREADS: u32 = 128u;
const ROWS: u32 = 1u;
const OUTS: u32 = 1u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
// Every turn has STEPS blocks.
const WHOLE: bool = BLOCKS != 0u && BLOCKS % (SEGMENTS * STEPS) == 0u;
// Side by side, each for OUTS weight rows.
const TEAMS: u32 = THREADS / SEGMENTS;
// One more than there are segments, so that the threads that add them up read from different banks.
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, OUTS, ROWS], of segments each
var<workgroup> sums: array<f32, TEAMS * OUTS * ROWS * PITCH>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * (TEAMS * OUTS);
  if (firstOut >= params.outs) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let firstRow = id.z * ROWS;
  let lastRow = rowsOf(params.domain) - 1u;
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  // Rows and outputs beyond the end repeat the last one, and are not stored.
  //# for j in OUTS
  let base$j = (params.firstRow + min(firstOut + team * OUTS + $ju, params.outs - 1u)) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var first = segment; first < blocks; first += SEGMENTS * STEPS) {
    // Beyond the end the last block is loaded again, and not used.
    //# for s in STEPS
    let block$s = first + $su * SEGMENTS;
    //# for j in OUTS
    let loaded$s_$j = loadBlock(base$j, select(min(block$s, blocks - 1u), block$s, WHOLE), blocks);
    //# end
    //# end
    //# for s in STEPS
    if (WHOLE || block$s < blocks) {
      //# for r in ROWS
      let row$r = loadRow(min(firstRow + $ru, lastRow), block$s, blocks);
      //# for j in OUTS
      partial$j_$r = addBlock(loaded$s_$j, row$r, partial$j_$r);
      //# end
      //# end
    }
    //# end
  }
  //# for j in OUTS
  //# for r in ROWS
  sums[((team * OUTS + $ju) * ROWS + $ru) * PITCH + segment] = partial$j_$r;
  //# end
  //# end
  workgroupBarrier();
  for (var i = thread; i < TEAMS * OUTS * ROWS; i += THREADS) {
    var total = 0.0;
    for (var s = 0u; s < SEGMENTS; s++) {
      total += sums[i * PITCH + s];
    }
    store(firstRow + i % ROWS, firstOut + i / ROWS, total);
  }
}
`,
  'linear-gated': `// linear and gated activation for a few rows of x (decode): out = x · weightᵀ, of which the first half of the columns is the
// gate and the second the up part, and activated = act(gate) · up, with QUANTIZE in 8 bits too.
//
// out        f32 [rows, outStride]
// activated  f32 [rows, outs / 2], as vectors
//
// A workgroup takes 32 columns of \`activated\`, so 64 weight rows, and ROWS rows of x; thread t computes segment
// t mod SEGMENTS of PAIRS gate rows and as many up rows. The sums are those of \`linear-few-rows.wgsl\`, in the same order.
// Follows \`linear-group.wgsl\`, a \`product-*.wgsl\`, \`activate.wgsl\` and \`quantize-four.wgsl\`. Bound by memory: the weights.

@group(0) @binding(3) var<storage, read_write> activated: array<vec4f>;

const THREADS: u32 = 256u;
const ROWS: u32 = 1u;
const SEGMENTS: u32 = 32u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
const TEAMS: u32 = THREADS / SEGMENTS;
// 32 / TEAMS, and twice that.
const PAIRS: u32 = 4u;
const OUTS: u32 = 8u;
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, gate and up, PAIRS], of segments each; of one row of x.
var<workgroup> sums: array<f32, 64u * PITCH>;
var<workgroup> totals: array<f32, 64>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * 32u;
  let half = params.outs / 2u;
  if (firstOut >= half) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let rows = rowsOf(params.domain);
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  let firstBase = (params.firstRow + firstOut + team * PAIRS) * params.vectors;
  //# for j in OUTS
  let base$j = firstBase + ($ju % PAIRS + $ju / PAIRS * half) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var block = segment; block < blocks; block += SEGMENTS) {
    //# for j in OUTS
    let loaded$j = loadBlock(base$j, block, blocks);
    //# end
    //# for r in ROWS
    let row$r = loadRow(min($ru, rows - 1u), block, blocks);
    //# for j in OUTS
    partial$j_$r = addBlock(loaded$j, row$r, partial$j_$r);
    //# end
    //# end
  }
  for (var r = 0u; r < min(ROWS, rows); r++) {
    workgroupBarrier();
    //# for j in OUTS
    var mine$j = 0.0;
    //# for r in ROWS
    mine$j = select(mine$j, partial$j_$r, r == $ru);
    //# end
    sums[(team * OUTS + $ju) * PITCH + segment] = mine$j;
    //# end
    workgroupBarrier();
    if (thread < 64u) {
      var total = 0.0;
      for (var s = 0u; s < SEGMENTS; s++) {
        total += sums[thread * PITCH + s];
      }
      totals[thread] = total;
      let j = thread % OUTS;
      out[r * params.outStride + j / PAIRS * half + firstOut + thread / OUTS * PAIRS + j % PAIRS] = total;
    }
    workgroupBarrier();
    var values = vec4f(0.0);
    let four = r * (half / 4u) + firstOut / 4u + thread;
    if (thread < 8u) {
      for (var k = 0u; k < 4u; k++) {
        let column = 4u * thread + k;
        let gate = column / PAIRS * OUTS + column % PAIRS;
        values[k] = gated(totals[gate], totals[gate + PAIRS], params.float);
      }
      activated[four] = values;
    }
    if (QUANTIZE) {
      noteFour(values, 0u, thread);
      maximaBarrier();
      if (thread < 8u) {
        storeCodes(values, four, 0u, thread);
      }
    }
  }
}
`,
  'linear-group': `// What the linear kernels share: out[r][o] = Σ x[r][k] · weight[o][k] + bias[o].
//
// The columns are cut into blocks, of 32 for quantised weights and of 8 for floats, and block b belongs to segment
// b mod \`segments\`, a number that depends on the width and that kind alone. A segment adds up its blocks in order, every block its columns in order; then the segments are added up in
// order. The kernel for few rows gives each segment to a thread, the one for many rows walks them one after the other:
// both give the same bits.

struct Params {
  blocks: u32,
  segments: u32,
  // Vectors of four words a weight row, and the first row that is meant.
  vectors: u32,
  firstRow: u32,
  outs: u32,
  outColumn: u32,
  outStride: u32,
  xStride: u32,
  domain: u32,
  hasBias: u32,
  // The limit of a gated activation, the eps of norms of heads; 0 without.
  float: f32,
}

// f32 [outs of all weights side by side]
@group(0) @binding(6) var<storage, read> bias: array<f32>;
// f32 [rows, outStride]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

fn store(row: u32, o: u32, sum: f32) {
  if (row >= rowsOf(params.domain) || o >= params.outs) {
    return;
  }
  let column = params.outColumn + o;
  var result = sum;
  if (params.hasBias == 1u) {
    result += bias[column];
  }
  out[row * params.outStride + column] = result;
}
`,
  'linear-heads': `// linear for a few rows of x (decode) whose outputs are the q, k and v heads, and what becomes of whole heads: the norm, the
// rotation, and bytes in the cache with a scale of their own. What \`linear-few-rows.wgsl\` and then \`rope-and-cache.wgsl\` do,
// to the bit.
//
// exchange  the rows of the result as words: q rotated, k and v as they are; from HANDOVER on, places for what
//           workgroups hand over, [rows, outStride], and from there on counts of them, [heads]
// bias      f32 [outs], as vectors
// qNorm, kNorm  f32 [HEAD_DIM], as vectors
//
// A head is PARTS workgroups, of OUTS · THREADS / SEGMENTS weight rows and ROWS rows of x each; thread t computes segment
// t mod SEGMENTS of OUTS weight rows. The last one that is done ends the head. Follows \`linear-group.wgsl\`, a \`product-*.wgsl\`
// and \`last-group.wgsl\`; \`head-end.wgsl\` and a \`store-*.wgsl\` follow. Bound by memory: the weights.

@group(0) @binding(9) var<uniform> headBias: array<vec4f, BIAS_FOURS>;
@group(0) @binding(10) var<uniform> qNorm: array<vec4f, Q_NORM_FOURS>;
@group(0) @binding(11) var<uniform> kNorm: array<vec4f, K_NORM_FOURS>;

// Where it is that workgroups hand over.
const HANDOVER: u32 = 0u;
const THREADS: u32 = 128u;
const ROWS: u32 = 1u;
const OUTS: u32 = 4u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
const WHOLE: bool = BLOCKS != 0u && BLOCKS % (SEGMENTS * STEPS) == 0u;
const BIAS: bool = false;
const BIAS_FOURS: u32 = 1u;
const Q_NORM_FOURS: u32 = 1u;
const K_NORM_FOURS: u32 = 1u;
const TEAMS: u32 = THREADS / SEGMENTS;
const PARTS: u32 = (HEAD_DIM + TEAMS * OUTS - 1u) / (TEAMS * OUTS);
const PITCH: u32 = SEGMENTS + 1u;
// Rows of x that places are for.
const MOST_ROWS: u32 = 8u;

// [TEAMS, OUTS], of segments each; of one row of x.
var<workgroup> sums: array<f32, TEAMS * OUTS * PITCH>;

fn normWeight(isQuery: bool, i: u32) -> f32 {
  if (isQuery) {
    return qNorm[i / 4u % Q_NORM_FOURS][i % 4u];
  }
  return kNorm[i / 4u % K_NORM_FOURS][i % 4u];
}

fn keep(row: u32, o: u32, value: f32) {
  atomicStore(&exchange[row * params.outStride + o], bitcast<u32>(value));
}

fn keepQuery(row: u32, h: u32, i: u32, value: f32) {
  keep(row, h * HEAD_DIM + i, value);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let h = index / PARTS;
  if (h >= HEADS + 2u * KV_HEADS) {
    return;
  }
  let firstInHead = index % PARTS * (TEAMS * OUTS);
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let rows = rowsOf(params.domain);
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  // Outputs beyond the end of the head repeat its last one, and are not stored.
  //# for j in OUTS
  let out$j = h * HEAD_DIM + min(firstInHead + team * OUTS + $ju, HEAD_DIM - 1u);
  let base$j = (params.firstRow + out$j) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var first = segment; first < blocks; first += SEGMENTS * STEPS) {
    // Beyond the end the last block is loaded again, and not used.
    //# for s in STEPS
    let block$s = first + $su * SEGMENTS;
    //# for j in OUTS
    let loaded$s_$j = loadBlock(base$j, select(min(block$s, blocks - 1u), block$s, WHOLE), blocks);
    //# end
    //# end
    //# for s in STEPS
    if (WHOLE || block$s < blocks) {
      //# for r in ROWS
      let row$r = loadRow(min($ru, rows - 1u), block$s, blocks);
      //# for j in OUTS
      partial$j_$r = addBlock(loaded$s_$j, row$r, partial$j_$r);
      //# end
      //# end
    }
    //# end
  }
  for (var r = 0u; r < min(ROWS, rows); r++) {
    workgroupBarrier();
    //# for j in OUTS
    var mine$j = 0.0;
    //# for r in ROWS
    mine$j = select(mine$j, partial$j_$r, r == $ru);
    //# end
    sums[(team * OUTS + $ju) * PITCH + segment] = mine$j;
    //# end
    workgroupBarrier();
    for (var i = thread; i < TEAMS * OUTS; i += THREADS) {
      var total = 0.0;
      for (var s = 0u; s < SEGMENTS; s++) {
        total += sums[i * PITCH + s];
      }
      if (firstInHead + i < HEAD_DIM) {
        let o = h * HEAD_DIM + firstInHead + i;
        if (BIAS) {
          total += headBias[o / 4u][o % 4u];
        }
        handOver(HANDOVER + r * params.outStride + o, total);
      }
    }
  }
  if (!isLastOf(HANDOVER + MOST_ROWS * params.outStride + h, PARTS, thread)) {
    return;
  }
  for (var r = 0u; r < min(ROWS, rows); r++) {
    for (var i = select(HEAD_DIM, thread, thread < LANES); i < HEAD_DIM; i += LANES) {
      let o = h * HEAD_DIM + i;
      head[i] = takeOver(HANDOVER + r * params.outStride + o);
      if (h >= HEADS) {
        keep(r, o, head[i]);
      }
    }
    endHead(r, h, params.float, thread);
  }
}
`,
  'linear-many-rows-affine': `// linear for many rows of x (prompts), weights of codes, scales and mins: TILE_ROWS × TILE_OUTS results a workgroup.
//
// As \`linear-many-rows-quantized.wgsl\`: one block of 32 columns of the tile's rows of x and of its weight rows lies in
// workgroup memory while the next one is on its way, and segments are walked one after the other. Each thread computes 4 rows
// × 4 outputs, since a block brings two scales and a min. Follows \`linear-group.wgsl\` and \`product-affine.wgsl\`, whose
// \`addBlock\` it calls, so that the bits are those of a few rows. Bound by arithmetic.

const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 32u;
const ROW_THREADS: u32 = TILE_ROWS / 4u;
const OUT_THREADS: u32 = TILE_OUTS / 4u;
const THREADS: u32 = ROW_THREADS * OUT_THREADS;
const ROW_LOADS: u32 = (TILE_ROWS + THREADS - 1u) / THREADS;
const WEIGHT_LOADS: u32 = (TILE_OUTS + THREADS - 1u) / THREADS;

// [2 halves of a block, rows]
var<workgroup> xTile: array<vec4u, 2u * TILE_ROWS>;
var<workgroup> weightTile: array<vec4u, 2u * TILE_OUTS>;
// The scale of a block of x and the sum of its codes; the factors of a block of weights.
var<workgroup> xTileFactors: array<vec2f, TILE_ROWS>;
var<workgroup> weightTileFactors: array<vec3f, TILE_OUTS>;

// The thread's part of the block that comes next.
var<private> nextRows: array<XBlock, ROW_LOADS>;
var<private> nextWeights: array<Block, WEIGHT_LOADS>;

// Rows and outputs beyond the end repeat the last one, and are not stored.
fn load(firstRow: u32, firstOut: u32, block: u32, thread: u32) {
  let lastRow = rowsOf(params.domain) - 1u;
  for (var i = 0u; i < ROW_LOADS; i++) {
    nextRows[i] = loadRow(min(firstRow + thread + i * THREADS, lastRow), block, params.blocks);
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let o = min(firstOut + thread + i * THREADS, params.outs - 1u);
    nextWeights[i] = loadBlock((params.firstRow + o) * params.vectors, block, params.blocks);
  }
}

fn keep(thread: u32) {
  for (var i = 0u; i < ROW_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_ROWS) {
      xTile[at] = nextRows[i].low;
      xTile[TILE_ROWS + at] = nextRows[i].high;
      xTileFactors[at] = vec2f(nextRows[i].scale, nextRows[i].sum);
    }
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_OUTS) {
      weightTile[at] = nextWeights[i].codes.low;
      weightTile[TILE_OUTS + at] = nextWeights[i].codes.high;
      weightTileFactors[at] = nextWeights[i].factors;
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  let firstRow = id.z * TILE_ROWS;
  if (firstOut >= params.outs || firstRow >= rowsOf(params.domain)) {
    return;
  }
  let row = thread / OUT_THREADS;
  let o = thread % OUT_THREADS;
  // [4 rows, 4 outputs]
  var totals = array<f32, 16>();
  load(firstRow, firstOut, 0u, thread);
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<f32, 16>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      workgroupBarrier();
      keep(thread);
      workgroupBarrier();
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var next = block + params.segments;
      next = select(next, segment + 1u, next >= params.blocks);
      load(firstRow, firstOut, min(next, params.blocks - 1u), thread);

      var rows: array<XBlock, 4>;
      for (var r = 0u; r < 4u; r++) {
        let at = row + r * ROW_THREADS;
        rows[r] = XBlock(xTile[at], xTile[TILE_ROWS + at], xTileFactors[at].x, xTileFactors[at].y);
      }
      for (var j = 0u; j < 4u; j++) {
        let at = o + j * OUT_THREADS;
        let weight = Block(Codes(weightTile[at], weightTile[TILE_OUTS + at]), weightTileFactors[at]);
        for (var r = 0u; r < 4u; r++) {
          sums[4u * j + r] = addBlock(weight, rows[r], sums[4u * j + r]);
        }
      }
    }
    for (var i = 0u; i < 16u; i++) {
      totals[i] += sums[i];
    }
  }
  for (var j = 0u; j < 4u; j++) {
    for (var r = 0u; r < 4u; r++) {
      store(firstRow + row + r * ROW_THREADS, firstOut + o + j * OUT_THREADS, totals[4u * j + r]);
    }
  }
}
`,
  'linear-many-rows-float': `// linear for many rows of x (prompts) and float weights: TILE_ROWS × TILE_OUTS results a workgroup.
//
// STEP blocks of 8 columns of one segment, of the tile's rows of x and of its weight rows, lie in workgroup memory as floats
// while the next ones are on their way to registers; there are two such places in turn, so that one barrier a step is
// enough. Segments are walked one after the other, see \`linear-group.wgsl\`, which it follows. Bound by arithmetic, if:
//
// - Reads of workgroup memory keep up. A thread's 8 × 8 results (ROW_FOURS = OUT_FOURS = 2) take 4 reads of 16 bytes for
//   64 products, its 8 × 4 take 3 for 32, its 4 × 4 take 2 for 16. A multiprocessor that returns 128 bytes and multiplies
//   128 times a cycle would be busy with either alone for 8 × 8. Where threads t and t^1, or t and t^2, read the same
//   address, NVIDIA's take half the time (forums.developer.nvidia.com/t/77228): hence the order of threads in \`main\`, 4 × 8
//   to 32 of them. They read neighbouring vectors, so banks do not collide.
// - Registers hold what they should: a sum and a total a result, 128 of them for 8 × 8, which leaves some eight teams of 32
//   threads to a multiprocessor: two workgroups of 128 × 64 results, of which one multiplies while the other waits at its
//   barrier, or one of 128 × 128. The 64 independent products a column hide their own latency, and a step's products that of
//   the next step's loads. Sums have names, and loops over them are written out, so that no compiler keeps them elsewhere.
// - The caches keep up. A block of halves is half a sector of 32 bytes, and its neighbour belongs to another segment: so a
//   block of a tile costs 32 bytes for each of its rows and each of its outputs, and a larger tile halves that for each
//   product. Workgroups of the same outputs begin one after the other, so that weights come from memory once.
//
// Few outputs and rows leave most of a GPU idle with a large tile: \`float-tiles.ts\` gives them a smaller one. With 9 to 32
// rows there is little arithmetic to a weight, and STEP = 4 keeps more loads on their way.

// f32 [rows, 8 · blocks], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;
// The weights once more, in pairs of words: four columns of halves
@group(0) @binding(3) var<storage, read> weightPairs: array<vec2u>;

const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 64u;
// Vectors of four rows, and of four outputs, that a thread computes. There are 4 · n threads along the rows, 8 · n along the outputs.
const ROW_FOURS: u32 = 2u;
const OUT_FOURS: u32 = 1u;
// Blocks of a segment at a time: 1, 2 or 4.
const STEP: u32 = 2u;
// Weights are halves, of either kind.
const HALVES: bool = false;

const ROW_THREADS: u32 = TILE_ROWS / (4u * ROW_FOURS);
const OUT_THREADS: u32 = TILE_OUTS / (4u * OUT_FOURS);
const THREADS: u32 = ROW_THREADS * OUT_THREADS;
// A task is to bring four columns of four rows, of x or of the weights.
const STEP_FOURS: u32 = 2u * STEP;
const X_TASKS: u32 = TILE_ROWS / 4u * STEP_FOURS;
const TASKS: u32 = X_TASKS + TILE_OUTS / 4u * STEP_FOURS;
// Tasks of a thread: TASKS / THREADS, rounded up.
const LOADS: u32 = 1u;
const FOUR: u32 = 4u;

// [2 places, 8 · STEP columns, TILE_ROWS / 4], four rows a vector; those of column c at their number ^ \`turned(c / 4)\`
const X_PITCH: u32 = TILE_ROWS / 4u;
var<workgroup> xTile: array<vec4f, 16u * STEP * X_PITCH>;
const WEIGHT_PITCH: u32 = TILE_OUTS / 4u;
var<workgroup> weightTile: array<vec4f, 16u * STEP * WEIGHT_PITCH>;

// The thread's part of the step that comes next, as it lies in memory: to widen it would be to wait for it.
var<private> next: array<vec4u, 4u * LOADS>;

// Eight neighbouring tasks, which bring all columns of some rows, write to different banks.
fn turned(four: u32, pitch: u32) -> u32 {
  return (four * (4u / STEP)) & (pitch - 1u) & 7u;
}

// The tile's first row and output.
struct Corner {
  row: u32,
  o: u32,
  // Of x; rows beyond it repeat it, and are not stored.
  lastRow: u32,
}

// Outputs beyond the last one repeat it, and are not stored.
fn wordsAt(o: u32, i: u32) -> vec4u {
  let base = (params.firstRow + min(o, params.outs - 1u)) * params.vectors;
  if (HALVES) {
    return vec4u(weightPairs[2u * base + i], 0u, 0u);
  }
  return weights[base + i];
}

// \`first\` is the first block of a step; blocks beyond the last one repeat it, and are not used.
fn load(corner: Corner, first: u32, thread: u32) {
  //# for t in LOADS
  {
    let task = thread + $tu * THREADS;
    let four = task % STEP_FOURS;
    let column = 2u * min(first + four / 2u * params.segments, params.blocks - 1u) + four % 2u;
    if (task < X_TASKS) {
      let row = corner.row + 4u * (task / STEP_FOURS);
      //# for i in FOUR
      next[4u * $tu + $iu] = bitcast<vec4u>(x[min(row + $iu, corner.lastRow) * (2u * params.blocks) + column]);
      //# end
    } else if (task < TASKS) {
      let o = corner.o + 4u * ((task - X_TASKS) / STEP_FOURS);
      //# for i in FOUR
      next[4u * $tu + $iu] = wordsAt(o + $iu, column);
      //# end
    }
  }
  //# end
}

// To workgroup memory, turned so that a column's rows lie side by side.
fn keep(place: u32, thread: u32) {
  //# for t in LOADS
  {
    let task = thread + $tu * THREADS;
    let four = task % STEP_FOURS;
    let column = 8u * STEP * place + 4u * four;
    if (task < X_TASKS) {
      let byColumn = transpose(mat4x4f(
        bitcast<vec4f>(next[4u * $tu]),
        bitcast<vec4f>(next[4u * $tu + 1u]),
        bitcast<vec4f>(next[4u * $tu + 2u]),
        bitcast<vec4f>(next[4u * $tu + 3u]),
      ));
      let at = column * X_PITCH + ((task / STEP_FOURS) ^ turned(four, X_PITCH));
      //# for j in FOUR
      xTile[at + $ju * X_PITCH] = byColumn[$j];
      //# end
    } else if (task < TASKS) {
      let byColumn = transpose(mat4x4f(
        fourOf(next[4u * $tu]),
        fourOf(next[4u * $tu + 1u]),
        fourOf(next[4u * $tu + 2u]),
        fourOf(next[4u * $tu + 3u]),
      ));
      let at = column * WEIGHT_PITCH + (((task - X_TASKS) / STEP_FOURS) ^ turned(four, WEIGHT_PITCH));
      //# for j in FOUR
      weightTile[at + $ju * WEIGHT_PITCH] = byColumn[$j];
      //# end
    }
  }
  //# end
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (id.z * count.y + id.y) * count.x + id.x;
  let rows = rowsOf(params.domain);
  let corner = Corner(index % count.z * TILE_ROWS, index / count.z * TILE_OUTS, rows - 1u);
  if (corner.o >= params.outs || corner.row >= rows) {
    return;
  }
  // 32 threads are 4 along the rows (bits 0 and 4 of their number) and 8 along the outputs (bits 1 to 3).
  let team = thread / 32u;
  let row = team / (OUT_THREADS / 8u) * 4u + (thread & 1u) + ((thread >> 3u) & 2u);
  let o = team % (OUT_THREADS / 8u) * 8u + ((thread >> 1u) & 7u);
  //# for r in ROW_FOURS
  //# for k in FOUR
  //# for h in OUT_FOURS
  var total$r_$k_$h = vec4f(0.0);
  //# end
  //# end
  //# end
  load(corner, 0u, thread);
  keep(0u, thread);
  workgroupBarrier();
  var place = 0u;
  for (var segment = 0u; segment < params.segments; segment++) {
    //# for r in ROW_FOURS
    //# for k in FOUR
    //# for h in OUT_FOURS
    var sum$r_$k_$h = vec4f(0.0);
    //# end
    //# end
    //# end
    for (var first = segment; first < params.blocks; first += STEP * params.segments) {
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var after = first + STEP * params.segments;
      after = select(after, segment + 1u, after >= params.blocks);
      load(corner, after, thread);

      let blocks = (params.blocks - first + params.segments - 1u) / params.segments;
      let fours = select(2u * min(blocks, STEP), 2u, STEP == 1u);
      for (var four = 0u; four < fours; four++) {
        let columns = 8u * STEP * place + 4u * four;
        //# for r in ROW_FOURS
        let xAt$r = columns * X_PITCH + ((row + $ru * ROW_THREADS) ^ turned(four, X_PITCH));
        //# end
        //# for h in OUT_FOURS
        let weightAt$h = columns * WEIGHT_PITCH + ((o + $hu * OUT_THREADS) ^ turned(four, WEIGHT_PITCH));
        //# end
        //# for j in FOUR
        {
          //# for r in ROW_FOURS
          let v$r = xTile[xAt$r + $ju * X_PITCH];
          //# end
          //# for h in OUT_FOURS
          let w$h = weightTile[weightAt$h + $ju * WEIGHT_PITCH];
          //# end
          //# for r in ROW_FOURS
          //# for k in FOUR
          //# for h in OUT_FOURS
          sum$r_$k_$h = fma(w$h, vec4f(v$r[$k]), sum$r_$k_$h);
          //# end
          //# end
          //# end
        }
        //# end
      }
      place = 1u - place;
      keep(place, thread);
      workgroupBarrier();
    }
    //# for r in ROW_FOURS
    //# for k in FOUR
    //# for h in OUT_FOURS
    total$r_$k_$h += sum$r_$k_$h;
    //# end
    //# end
    //# end
  }
  //# for r in ROW_FOURS
  //# for k in FOUR
  //# for h in OUT_FOURS
  storeFour(corner.row + 4u * (row + $ru * ROW_THREADS) + $ku, corner.o + 4u * (o + $hu * OUT_THREADS), total$r_$k_$h);
  //# end
  //# end
  //# end
}

fn storeFour(row: u32, o: u32, results: vec4f) {
  //# for j in FOUR
  store(row, o + $ju, results[$j]);
  //# end
}
`,
  'linear-many-rows-matrices': `// linear for many rows of x (prompts) by matrix units, quantised weights and 8-bit activations: a tile of \`matrix-tile.wgsl\` a
// workgroup. Follows that, and \`linear-group.wgsl\`.

// Rows and outputs beyond the end repeat the last one, and are not stored.
fn xRow(row: u32) -> u32 {
  return min(row, rowsOf(params.domain) - 1u);
}

fn weightBase(o: u32) -> u32 {
  return (params.firstRow + min(o, params.outs - 1u)) * params.vectors;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) subgroupThreads: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  let firstRow = id.z * TILE_ROWS;
  let rows = rowsOf(params.domain);
  if (firstOut >= params.outs || firstRow >= rows) {
    return;
  }
  let results = tileResults(firstRow, rows - firstRow, firstOut, thread, subgroupThreads);
  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < 4u; j++) {
      store(firstRow + rowInTile(thread) + i * ROW_STEP, firstOut + 4u * quadInTile(thread) + j, results[i][j]);
    }
  }
}
`,
  'linear-many-rows-quantized': `// linear for many rows of x (prompts), quantised weights and 8-bit activations: TILE_ROWS × TILE_OUTS results a workgroup.
//
// One block of 32 columns of the tile's rows of x and of its weight rows lies in workgroup memory as bytes with its scales,
// while the next one is on its way; each thread computes 4 rows × 8 outputs. Segments are walked one after the other, see
// \`linear-group.wgsl\`, which it follows. Bound by arithmetic: 8 instructions of 4 products for each result and block.
//
// Tile sizes: 4 × 8 results a thread take 24 reads of workgroup memory for 256 products of four; more results need more
// registers than a thread has, since each has a sum and a total. A thread's rows and outputs lie apart by the tile's number
// of threads in that direction, so that neighbours read neighbouring vectors.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 64u;
const ROW_THREADS: u32 = TILE_ROWS / 4u;
const OUT_THREADS: u32 = TILE_OUTS / 8u;
const THREADS: u32 = ROW_THREADS * OUT_THREADS;
const X_LOADS: u32 = (2u * TILE_ROWS + THREADS - 1u) / THREADS;
const WEIGHT_LOADS: u32 = (TILE_OUTS + THREADS - 1u) / THREADS;
const SCALE_LOADS: u32 = (TILE_ROWS + THREADS - 1u) / THREADS;

// [2 halves of a block, rows]
var<workgroup> xTile: array<vec4u, 2u * TILE_ROWS>;
var<workgroup> weightTile: array<vec4u, 2u * TILE_OUTS>;
var<workgroup> xTileScales: array<f32, TILE_ROWS>;
var<workgroup> weightTileScales: array<f32, TILE_OUTS>;

// The thread's part of the block that comes next.
var<private> nextX: array<vec4u, X_LOADS>;
var<private> nextScales: array<f32, SCALE_LOADS>;
var<private> nextCodes: array<Codes, WEIGHT_LOADS>;
var<private> nextWeightScales: array<f32, WEIGHT_LOADS>;

// Rows and outputs beyond the end repeat the last one, and are not stored.
fn load(firstRow: u32, firstOut: u32, block: u32, thread: u32) {
  let lastRow = rowsOf(params.domain) - 1u;
  for (var i = 0u; i < X_LOADS; i++) {
    let at = thread + i * THREADS;
    let row = min(firstRow + at / 2u, lastRow);
    nextX[i] = x[2u * (row * params.blocks + block) + (at & 1u)];
  }
  for (var i = 0u; i < SCALE_LOADS; i++) {
    let row = min(firstRow + thread + i * THREADS, lastRow);
    nextScales[i] = xScales[row * params.blocks + block];
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let o = min(firstOut + thread + i * THREADS, params.outs - 1u);
    let base = (params.firstRow + o) * params.vectors;
    nextCodes[i] = codesOf(base, block);
    nextWeightScales[i] = scaleOf(base, block, params.blocks);
  }
}

fn keep(thread: u32) {
  for (var i = 0u; i < X_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < 2u * TILE_ROWS) {
      xTile[(at & 1u) * TILE_ROWS + at / 2u] = nextX[i];
    }
  }
  for (var i = 0u; i < SCALE_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_ROWS) {
      xTileScales[at] = nextScales[i];
    }
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_OUTS) {
      weightTile[at] = nextCodes[i].low;
      weightTile[TILE_OUTS + at] = nextCodes[i].high;
      weightTileScales[at] = nextWeightScales[i];
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  let firstRow = id.z * TILE_ROWS;
  if (firstOut >= params.outs || firstRow >= rowsOf(params.domain)) {
    return;
  }
  let row = thread / OUT_THREADS;
  let o = thread % OUT_THREADS;
  var totals = array<vec4f, 8>();
  load(firstRow, firstOut, 0u, thread);
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<vec4f, 8>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      workgroupBarrier();
      keep(thread);
      workgroupBarrier();
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var next = block + params.segments;
      next = select(next, segment + 1u, next >= params.blocks);
      load(firstRow, firstOut, min(next, params.blocks - 1u), thread);

      var rows: array<XBlock, 4>;
      for (var r = 0u; r < 4u; r++) {
        let at = row + r * ROW_THREADS;
        rows[r] = xBlock(xTile[at], xTile[TILE_ROWS + at], xTileScales[at]);
      }
      let scales = vec4f(rows[0].scale, rows[1].scale, rows[2].scale, rows[3].scale);
      for (var j = 0u; j < 8u; j++) {
        let at = o + j * OUT_THREADS;
        let codes = Codes(weightTile[at], weightTile[TILE_OUTS + at]);
        let exact = vec4i(
          dotBlock(codes, rows[0]), dotBlock(codes, rows[1]), dotBlock(codes, rows[2]), dotBlock(codes, rows[3]),
        );
        sums[j] = fma(vec4f(exact), weightTileScales[at] * scales, sums[j]);
      }
    }
    for (var j = 0u; j < 8u; j++) {
      totals[j] += sums[j];
    }
  }
  for (var j = 0u; j < 8u; j++) {
    for (var r = 0u; r < 4u; r++) {
      store(firstRow + row + r * ROW_THREADS, firstOut + o + j * OUT_THREADS, totals[j][r]);
    }
  }
}
`,
  'linear-norm': `// linear for a few rows of x (decode), its sum with the residual stream, and the norm of that: what \`linear-few-rows.wgsl\` and
// then \`norm-rows.wgsl\` do, to the bit.
//
// exchange   the rows of the linear's result as words; from HANDOVER on, places for what workgroups hand over,
//            [rows, outStride], and then one count
// residual   f32 [rows, outStride], as vectors: the result is added to it
// normWeight f32 [outs], as vectors
//
// A workgroup takes OUTS · THREADS / SEGMENTS weight rows and ROWS rows of x; thread t computes segment t mod SEGMENTS of OUTS
// weight rows. The last one that is done takes the rows' columns 4t … 4t+3, 4(t + THREADS), …, so THREADS are those of the norm.
// Follows \`linear-group.wgsl\`, a \`product-*.wgsl\`, \`last-group.wgsl\`, \`sum-threads.wgsl\` and a \`norm-end-*.wgsl\`. Bound by memory:
// the weights; and by the time that the last workgroup takes, in which the others have nothing to do.

@group(0) @binding(6) var<storage, read_write> residual: array<vec4f>;
@group(0) @binding(9) var<uniform> normWeight: array<vec4f, NORM_FOURS>;

const HANDOVER: u32 = 0u;
const THREADS: u32 = 256u;
const ROWS: u32 = 1u;
const OUTS: u32 = 2u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
const WHOLE: bool = BLOCKS != 0u && BLOCKS % (SEGMENTS * STEPS) == 0u;
const NORM_FOURS: u32 = 1u;
const TEAMS: u32 = THREADS / SEGMENTS;
const PITCH: u32 = SEGMENTS + 1u;
// Rows of x that places are for.
const MOST_ROWS: u32 = 8u;

// [TEAMS, OUTS], of segments each; of one row of x.
var<workgroup> sums: array<f32, TEAMS * OUTS * PITCH>;

// An element of the result, which goes to its place in the rows, too.
fn taken(r: u32, o: u32, peeked: u32) -> f32 {
  let value = take(HANDOVER + r * params.outStride + o, peeked);
  atomicStore(&exchange[r * params.outStride + o], bitcast<u32>(value));
  return value;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * (TEAMS * OUTS);
  if (firstOut >= params.outs) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let rows = rowsOf(params.domain);
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  // Outputs beyond the end repeat the last one, and are not stored.
  //# for j in OUTS
  let base$j = (params.firstRow + min(firstOut + team * OUTS + $ju, params.outs - 1u)) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var first = segment; first < blocks; first += SEGMENTS * STEPS) {
    // Beyond the end the last block is loaded again, and not used.
    //# for s in STEPS
    let block$s = first + $su * SEGMENTS;
    //# for j in OUTS
    let loaded$s_$j = loadBlock(base$j, select(min(block$s, blocks - 1u), block$s, WHOLE), blocks);
    //# end
    //# end
    //# for s in STEPS
    if (WHOLE || block$s < blocks) {
      //# for r in ROWS
      let row$r = loadRow(min($ru, rows - 1u), block$s, blocks);
      //# for j in OUTS
      partial$j_$r = addBlock(loaded$s_$j, row$r, partial$j_$r);
      //# end
      //# end
    }
    //# end
  }
  for (var r = 0u; r < min(ROWS, rows); r++) {
    workgroupBarrier();
    //# for j in OUTS
    var mine$j = 0.0;
    //# for r in ROWS
    mine$j = select(mine$j, partial$j_$r, r == $ru);
    //# end
    sums[(team * OUTS + $ju) * PITCH + segment] = mine$j;
    //# end
    workgroupBarrier();
    for (var i = thread; i < TEAMS * OUTS; i += THREADS) {
      var total = 0.0;
      for (var s = 0u; s < SEGMENTS; s++) {
        total += sums[i * PITCH + s];
      }
      let o = firstOut + i;
      if (o < params.outs) {
        handOver(HANDOVER + r * params.outStride + o, total);
      }
    }
  }
  let groups = (params.outs + TEAMS * OUTS - 1u) / (TEAMS * OUTS);
  if (!isLastOf(HANDOVER + MOST_ROWS * params.outStride, groups, thread)) {
    return;
  }
  let fours = params.outs / 4u;
  for (var r = 0u; r < min(ROWS, rows); r++) {
    let at = r * fours;
    //# for t in TURNS
    let i$t = $tu * THREADS + thread;
    var kept$t = vec4f(0.0);
    var peeked$t = vec4u(0u);
    if (i$t < fours) {
      let place = HANDOVER + r * params.outStride + 4u * i$t;
      peeked$t = vec4u(peek(place), peek(place + 1u), peek(place + 2u), peek(place + 3u));
      kept$t = residual[at + i$t];
    }
    //# end
    var squares = 0.0;
    //# for t in TURNS
    if (i$t < fours) {
      let o = 4u * i$t;
      let peeked = peeked$t;
      kept$t += vec4f(
        taken(r, o, peeked.x),
        taken(r, o + 1u, peeked.y),
        taken(r, o + 2u, peeked.z),
        taken(r, o + 3u, peeked.w),
      );
      residual[at + i$t] = kept$t;
    }
    squares = fma(kept$t.w, kept$t.w, squares);
    squares = fma(kept$t.z, kept$t.z, squares);
    squares = fma(kept$t.y, kept$t.y, squares);
    squares = fma(kept$t.x, kept$t.x, squares);
    //# end
    let root = inverseSqrt(sumOfThreads(squares, thread) / f32(params.outs) + params.float);
    //# for t in TURNS
    if (i$t < fours) {
      kept$t = kept$t * root * normWeight[i$t];
    }
    noteNormed(kept$t, $tu, thread);
    //# end
    normedBarrier();
    //# for t in TURNS
    if (i$t < fours) {
      keepNormed(kept$t, at + i$t, $tu, thread);
    }
    //# end
    workgroupBarrier();
  }
}
`,
  'linear-plain': `// linear in its plainest form: one thread a result, segments walked one after the other. The same bits as the other two,
// without workgroup memory or barriers: what a CPU that plays GPU is fastest with, and what runs where the others do not.
// Follows \`linear-group.wgsl\` and a \`product-*.wgsl\`. Weights are read once for each row of x.

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = workgroupIndex(id, count) * THREADS + thread;
  let row = id.z;
  if (o >= params.outs || row >= rowsOf(params.domain)) {
    return;
  }
  let base = (params.firstRow + o) * params.vectors;
  var total = 0.0;
  for (var segment = 0u; segment < params.segments; segment++) {
    var sum = 0.0;
    for (var block = segment; block < params.blocks; block += params.segments) {
      sum = addBlock(loadBlock(base, block, params.blocks), loadRow(row, block, params.blocks), sum);
    }
    total += sum;
  }
  store(row, o, total);
}
`,
  'linear-rope': `// linear for a few rows of x (decode) whose outputs are the q, k and v heads, rotated and written to the cache at once:
// what \`linear-few-rows.wgsl\` and then \`rope-and-cache.wgsl\` do, to the bit, where heads are not normed.
//
// out     f32 [rows, outStride]: q rotated, k and v as they are
// rope    f32 [positions, ROTARY], as vectors: cosines, then sines
// bias    f32 [outs], as vectors
// keys, values  as in \`rope-and-cache.wgsl\`
//
// A workgroup computes couples: four neighbouring elements of a head and the four that they turn with, ROTARY / 2 further on
// (the next four where nothing turns). So one thread ends a couple, with whole words of a cache of any width. Couples are
// pairs of elements to the sums: a workgroup takes TEAMS · PAIRS of those, a multiple of four, so twice as many weight rows,
// and ROWS rows of x; thread t computes segment t mod SEGMENTS of both rows of PAIRS pairs.
// Follows \`linear-group.wgsl\`, a \`product-*.wgsl\` and a \`store-*.wgsl\`. Bound by memory: the weights.

@group(0) @binding(3) var<storage, read> rope: array<vec4f>;
@group(0) @binding(9) var<uniform> headBias: array<vec4f, BIAS_FOURS>;

const THREADS: u32 = 128u;
const ROWS: u32 = 1u;
const PAIRS: u32 = 2u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where \`params\` tells.
const BLOCKS: u32 = 0u;
const WHOLE: bool = BLOCKS != 0u && BLOCKS % (SEGMENTS * STEPS) == 0u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 64u;
const FOURS: u32 = HEAD_DIM / 4u;
const COUPLES: u32 = HEAD_DIM / 8u;
const ROTARY: u32 = HEAD_DIM;
// Vectors of cosines, and of couples that turn.
const TURNING: u32 = ROTARY / 8u;
const BIAS: bool = false;
const BIAS_FOURS: u32 = 1u;
const TEAMS: u32 = THREADS / SEGMENTS;
// Twice that.
const OUTS: u32 = 4u;
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, first and second of a pair, PAIRS], of segments each; of one row of x.
var<workgroup> sums: array<f32, TEAMS * OUTS * PITCH>;
var<workgroup> totals: array<f32, TEAMS * OUTS>;

// A couple's first and second four, counted from the first head's first.
fn foursOf(couple: u32) -> vec2u {
  let c = couple % COUPLES;
  let first = select(2u * c, c, c < TURNING);
  return couple / COUPLES * FOURS + vec2u(first, first + select(1u, TURNING, c < TURNING));
}

// The weight rows of a pair.
fn rowsOfPair(pair: u32) -> vec2u {
  return 4u * foursOf(pair / 4u) + pair % 4u;
}

fn storeFour(row: u32, four: u32, values: vec4f) {
  let o = row * params.outStride + 4u * four;
  out[o] = values.x;
  out[o + 1u] = values.y;
  out[o + 2u] = values.z;
  out[o + 3u] = values.w;
}

fn endCouple(row: u32, couple: u32, first: vec4f, second: vec4f) {
  let fours = foursOf(couple);
  var a = first;
  var b = second;
  if (BIAS) {
    a += headBias[fours.x];
    b += headBias[fours.y];
  }
  let c = couple % COUPLES;
  let h = couple / COUPLES;
  var turnedA = a;
  var turnedB = b;
  if (c < TURNING) {
    let at = ropeRowOf(row) * (2u * TURNING) + c;
    let cos = rope[at];
    let sin = rope[at + TURNING];
    turnedA = fma(a, cos, -(b * sin));
    turnedB = fma(b, cos, a * sin);
  }
  let isQuery = h < HEADS;
  storeFour(row, fours.x, select(a, turnedA, isQuery));
  storeFour(row, fours.y, select(b, turnedB, isQuery));
  if (isQuery) {
    return;
  }
  let position = positionOf(row);
  let page = blockOf(slotOf(row), position / 16u) * KV_HEADS + (h - HEADS) % KV_HEADS;
  let inPage = position % 16u;
  let places = fours % FOURS;
  if (h < HEADS + KV_HEADS) {
    putKey(page, inPage, places.x, turnedA);
    putKey(page, inPage, places.y, turnedB);
  } else {
    putValue(page, inPage, places.x, a);
    putValue(page, inPage, places.y, b);
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let pairs = (HEADS + 2u * KV_HEADS) * (HEAD_DIM / 2u);
  let firstPair = workgroupIndex(id, count) * (TEAMS * PAIRS);
  if (firstPair >= pairs) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let rows = rowsOf(params.domain);
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  // Pairs beyond the end repeat the last one, and are not stored.
  //# for j in OUTS
  let pair$j = min(firstPair + team * PAIRS + $ju % PAIRS, pairs - 1u);
  let base$j = (params.firstRow + rowsOfPair(pair$j)[$ju / PAIRS]) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var first = segment; first < blocks; first += SEGMENTS * STEPS) {
    // Beyond the end the last block is loaded again, and not used.
    //# for s in STEPS
    let block$s = first + $su * SEGMENTS;
    //# for j in OUTS
    let loaded$s_$j = loadBlock(base$j, select(min(block$s, blocks - 1u), block$s, WHOLE), blocks);
    //# end
    //# end
    //# for s in STEPS
    if (WHOLE || block$s < blocks) {
      //# for r in ROWS
      let row$r = loadRow(min($ru, rows - 1u), block$s, blocks);
      //# for j in OUTS
      partial$j_$r = addBlock(loaded$s_$j, row$r, partial$j_$r);
      //# end
      //# end
    }
    //# end
  }
  for (var r = 0u; r < min(ROWS, rows); r++) {
    workgroupBarrier();
    //# for j in OUTS
    var mine$j = 0.0;
    //# for r in ROWS
    mine$j = select(mine$j, partial$j_$r, r == $ru);
    //# end
    sums[(team * OUTS + $ju) * PITCH + segment] = mine$j;
    //# end
    workgroupBarrier();
    for (var i = thread; i < TEAMS * OUTS; i += THREADS) {
      var total = 0.0;
      for (var s = 0u; s < SEGMENTS; s++) {
        total += sums[i * PITCH + s];
      }
      totals[i] = total;
    }
    workgroupBarrier();
    for (var i = 4u * thread; i < TEAMS * PAIRS; i += 4u * THREADS) {
      var first = vec4f(0.0);
      var second = vec4f(0.0);
      for (var k = 0u; k < 4u; k++) {
        let at = (i + k) / PAIRS * OUTS + (i + k) % PAIRS;
        first[k] = totals[at];
        second[k] = totals[at + PAIRS];
      }
      if (firstPair + i < pairs) {
        endCouple(r, (firstPair + i) / 4u, first, second);
      }
    }
  }
}
`,
  'logit-list': `// Third pass of \`reduceLogits\`: lists the logits that reach the threshold, in any order, adds up the exponentials, and looks
// up the picks. One thread a word; a word's terms are added in order, then a workgroup's words, and the host adds up the
// workgroups. Follows \`logit-row.wgsl\` and \`sum-threads.wgsl\`. Bound by memory without a sum, by arithmetic with one.

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = id.z;
  let group = workgroupIndex(id, count);
  let request = row * params.requestStride;
  let result = row * params.foundStride;
  if (row >= rowsOf(1u) || requests[request] == 0u || group >= params.sums) {
    return;
  }
  let threshold = atomicLoad(&found[result + 2u]);
  let greatest = floatOf(atomicLoad(&found[result + 1u]));
  let scale = bitcast<f32>(requests[request + 1u]);
  let word = group * THREADS + thread;
  var sum = 0.0;
  if (word < params.words) {
    let most = maxima[row * params.words + word];
    let isListed = most >= threshold;
    if (most != 0u && (isListed || scale > 0.0)) {
      let mask = maskOf(row, word);
      for (var i = 0u; i < min(32u, params.cols - 32u * word); i++) {
        let bits = bitsOf(row, 32u * word + i);
        let key = keyOf(bits);
        if (((mask >> i) & 1u) == 1u && key >= LOWEST_KEY) {
          if (scale > 0.0) {
            sum += exp(max((bitcast<f32>(bits) - greatest) * scale, -80.0));
          }
          if (key >= threshold) {
            let place = atomicAdd(&found[result + 3u], 1u);
            if (place < CAPACITY) {
              let pair = result + 8u + params.sums + 2u * place;
              atomicStore(&found[pair], 32u * word + i);
              atomicStore(&found[pair + 1u], bits);
            }
          }
        }
      }
    }
  }
  let total = sumOfThreads(sum, thread);
  if (thread == 0u) {
    atomicStore(&found[result + 8u + group], bitcast<u32>(total));
  }
  let picks = requests[request + 2u];
  for (var i = group * THREADS + thread; i < picks; i += params.sums * THREADS) {
    let pick = requests[request + 4u + params.words + i];
    atomicStore(&found[result + 8u + params.sums + 2u * CAPACITY + i], bitsOf(row, pick));
  }
}
`,
  'logit-maxima': `// First pass of \`reduceLogits\`: the greatest logit of each word of 32 that count, and whether all of a row are finite.
// One thread a word. Follows \`logit-row.wgsl\`. Bound by memory: the row is read once.

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = id.z;
  let group = workgroupIndex(id, count);
  let word = group * THREADS + thread;
  if (row >= rowsOf(1u) || requests[row * params.requestStride] == 0u || word >= params.words) {
    return;
  }
  let mask = maskOf(row, word);
  var most = 0u;
  var seen = 0u;
  for (var i = 0u; i < min(32u, params.cols - 32u * word); i++) {
    let bits = bitsOf(row, 32u * word + i);
    let magnitude = bits & 0x7fffffffu;
    let key = keyOf(bits);
    // 1: a NaN or +∞; 2: a number.
    seen |= select(2u, select(0u, 1u, magnitude > 0x7f800000u || bits == 0x7f800000u), magnitude >= 0x7f800000u);
    let counts = ((mask >> i) & 1u) == 1u && key >= LOWEST_KEY;
    most = max(most, select(0u, key, counts));
  }
  maxima[row * params.words + word] = most;
  atomicOr(&found[row * params.foundStride], seen);
  atomicMax(&found[row * params.foundStride + 1u], most);
}
`,
  'logit-row': `// What the kernels of \`reduceLogits\` share: a row of logits [cols], and what is asked of it.
//
// logits    f32 [rows, stride]
// requests  [rows, requestStride]: top (0: nothing is asked), scale as a float (0: no sum), number of picks, whether there
//           is a mask, the mask [words], the picks
// found     [rows, foundStride]: bit 0 if a logit is NaN or +∞ and bit 1 if one is a number, the greatest key that counts, a
//           threshold, how many reach it, whether everything does; at 8 the sum of each workgroup's terms as floats, at
//           8 + sums pairs of id and logit, at 8 + sums + 2 · CAPACITY the picks
// maxima    [rows, words]: the greatest key of each word's logits that count
//
// Floats are compared as keys, integers in the same order; key 0 is that of no float.

struct Params {
  cols: u32,
  stride: u32,
  words: u32,
  requestStride: u32,
  foundStride: u32,
  sums: u32,
}

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> requests: array<u32>;
@group(0) @binding(4) var<storage, read_write> maxima: array<u32>;
@group(0) @binding(5) var<storage, read_write> found: array<atomic<u32>>;

// A thread takes a word.
const THREADS: u32 = 256u;
const CAPACITY: u32 = 1024u;
// Of the lowest finite float: what is below counts for nothing.
const LOWEST_KEY: u32 = 0x00800000u;

fn keyOf(bits: u32) -> u32 {
  // Both zeros are one number.
  if (bits == 0x80000000u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn floatOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key ^ 0x80000000u, (key >> 31u) == 1u));
}

fn bitsOf(row: u32, id: u32) -> u32 {
  return bitcast<u32>(logits[row * params.stride + id]);
}

// Which of a word's logits count.
fn maskOf(row: u32, word: u32) -> u32 {
  let at = row * params.requestStride;
  var mask = 0xffffffffu;
  if (requests[at + 3u] == 1u) {
    mask = requests[at + 4u + word];
  }
  let left = params.cols - 32u * word;
  return select(mask & ((1u << (left & 31u)) - 1u), mask, left >= 32u);
}
`,
  'logit-threshold': `// Second pass of \`reduceLogits\`: a threshold that at least \`top\` words' maxima reach, so that at least as many logits do; all
// that are greater than the top-th largest logit are among them. The greatest is known where no more are asked for; else it is
// found digit by digit, 8 bits at a time: each thread counts for one value, and a team of them for 16.
// One workgroup a row. Follows \`logit-row.wgsl\`. Bound by the time that a workgroup takes.

const TEAM: u32 = 16u;

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> teamCounts: array<u32, 16>;
// The digit in the top 8 bits, and how many are wanted of those that have it.
var<workgroup> chosen: u32;

fn store(row: u32, key: u32) {
  let found0 = row * params.foundStride;
  // Fewer words than are wanted have a logit that counts: then all logits that count reach the threshold.
  let threshold = max(key, LOWEST_KEY);
  atomicStore(&found[found0 + 2u], threshold);
  atomicStore(&found[found0 + 4u], select(0u, 1u, threshold == LOWEST_KEY));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = id.z;
  if (row >= rowsOf(1u) || requests[row * params.requestStride] == 0u) {
    return;
  }
  let at = row * params.words;
  var wanted = requests[row * params.requestStride];
  if (wanted == 1u) {
    if (thread == 0u) {
      store(row, atomicLoad(&found[row * params.foundStride + 1u]));
    }
    return;
  }
  var prefix = 0u;
  for (var shift = 24u; shift < 32u; shift -= 8u) {
    atomicStore(&counts[thread], 0u);
    workgroupBarrier();
    for (var word = thread; word < params.words; word += THREADS) {
      let key = maxima[at + word];
      if (shift == 24u || (key >> (shift + 8u)) == (prefix >> (shift + 8u))) {
        atomicAdd(&counts[(key >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
    if (thread < TEAM) {
      var sum = 0u;
      for (var i = 0u; i < TEAM; i++) {
        sum += atomicLoad(&counts[thread * TEAM + i]);
      }
      teamCounts[thread] = sum;
    }
    workgroupBarrier();
    var above = 0u;
    for (var team = thread / TEAM + 1u; team < TEAM; team++) {
      above += teamCounts[team];
    }
    for (var value = thread + 1u; value % TEAM != 0u; value++) {
      above += atomicLoad(&counts[value]);
    }
    // The lowest value is chosen where all together are too few.
    if (above < wanted && (above + atomicLoad(&counts[thread]) >= wanted || thread == 0u)) {
      chosen = (thread << 24u) | (wanted - above);
    }
    let digit = workgroupUniformLoad(&chosen);
    prefix |= (digit >> 24u) << shift;
    wanted = digit & 0xffffffu;
  }
  if (thread == 0u) {
    store(row, prefix);
  }
}
`,
  'matrix-affine': `// What a matrix unit multiplies of a block, and what its product is multiplied by; follows \`product-affine.wgsl\`, for formats
// of one scale a block.

struct Operand {
  low: vec4u,
  high: vec4u,
  factors: Factors,
}

fn rowOperand(row: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadRow(row, block, blocks);
  return Operand(loaded.low, loaded.high, vec2f(loaded.scale, loaded.sum));
}

fn weightOperand(base: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadBlock(base, block, blocks);
  return Operand(loaded.codes.low, loaded.codes.high, loaded.factors.xz);
}
`,
  'matrix-operands-narrow': `// As \`matrix-operands.wgsl\`, for products of 8 columns: elements of 8 bytes.

const ELEMENT_COLUMNS: u32 = 8u;
const PITCH: u32 = 6u;
var<workgroup> operands: array<vec2u, PITCH * (TILE_ROWS + TILE_OUTS)>;

fn keepOperand(row: u32, low: vec4u, high: vec4u) {
  operands[PITCH * row] = low.xy;
  operands[PITCH * row + 1u] = low.zw;
  operands[PITCH * row + 2u] = high.xy;
  operands[PITCH * row + 3u] = high.zw;
}
`,
  'matrix-operands': `// What matrix units multiply, in workgroup memory: rows of 32 signed bytes, TILE_ROWS of x and then TILE_OUTS of weights, for
// products of 16 or 32 columns. Matrices are loaded from whole elements of the array, so these are of 16 bytes; rows lie
// three of them apart, so that eight rows begin in different banks.

const ELEMENT_COLUMNS: u32 = 16u;
const PITCH: u32 = 3u;
var<workgroup> operands: array<vec4u, PITCH * (TILE_ROWS + TILE_OUTS)>;

fn keepOperand(row: u32, low: vec4u, high: vec4u) {
  operands[PITCH * row] = low;
  operands[PITCH * row + 1u] = high;
}
`,
  'matrix-quantized': `// What a matrix unit multiplies of a block, and what its product is multiplied by; follows \`product-quantized.wgsl\`.

struct Operand {
  low: vec4u,
  high: vec4u,
  factors: Factors,
}

fn rowOperand(row: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadRow(row, block, blocks);
  return Operand(loaded.low, loaded.high, loaded.scale);
}

fn weightOperand(base: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadBlock(base, block, blocks);
  return Operand(lessOffset(loaded.codes.low), lessOffset(loaded.codes.high), loaded.scale);
}

// Sixteen codes less CODE_OFFSET, as signed bytes; with an offset they are less than 128, so no byte carries into the next.
fn lessOffset(codes: vec4u) -> vec4u {
  if (CODE_OFFSET == 0) {
    return codes;
  }
  return (codes + vec4u(0x01010101u * u32(128 - CODE_OFFSET))) ^ vec4u(0x80808080u);
}
`,
  'matrix-tile': `// A tile of quantised linear by matrix units: TILE_ROWS × TILE_OUTS results of a workgroup, 8-bit activations. A kernel's own
// file says where a row of x is and where a weight row begins.
//
// One block of 32 columns of the tile's rows of x and of its weight rows lies in workgroup memory as signed bytes with its
// factors, while the next one is on its way. Subgroups multiply M × K by K × N bytes; a block's 32 columns fit the 32-bit
// integers of the result, so that it is exact, whatever M, N and K are. WGSL lets no thread see the elements of a matrix, and
// each block has scales of its own: so the products go through workgroup memory, and every thread scales and adds up those of
// one quad of outputs and some rows. Segments are walked one after the other, see \`linear-group.wgsl\`: the bits are those of
// the other kernels. Follows a \`product-*.wgsl\`, and of \`matrix-*.wgsl\` the operands and the product's.
//
// Bound by workgroup memory: for each result and block 8 bytes for its product there and back, some 3 to load operands (a
// subgroup loads M rows of x once for the STRIP matrices beside each other), 1.5 to keep them, 1 for factors. By \`dot4I8Packed\`
// it would be eight instructions. A tile of 64 × 32 fits the 16 KiB that every adapter grants; larger ones would keep operands
// for longer, but the products take what there is. Rows of products lie 8 words apart by banks, so that a matrix of 8 columns
// is stored without conflicts, and is read by quads.

const M: u32 = 8u;
const N: u32 = 8u;
const K: u32 = 8u;
const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 32u;
// A multiple of every subgroup's size.
const THREADS: u32 = 128u;
// Matrices beside each other that a subgroup multiplies by the same rows of x: a unit of its work.
const STRIP: u32 = 1u;
const UNITS_ACROSS: u32 = TILE_OUTS / (N * STRIP);
const UNITS: u32 = TILE_ROWS / M * UNITS_ACROSS;
const OPERANDS: u32 = TILE_ROWS + TILE_OUTS;
const LOADS: u32 = (OPERANDS + THREADS - 1u) / THREADS;
const QUADS: u32 = TILE_OUTS / 4u;
const QUAD_PITCH: u32 = QUADS + 2u;
// Of one quad of outputs a thread has every ROW_STEP-th row.
const ROW_STEP: u32 = THREADS / QUADS;
const ROWS: u32 = TILE_ROWS / ROW_STEP;

// [TILE_ROWS, QUAD_PITCH]
var<workgroup> products: array<vec4i, TILE_ROWS * QUAD_PITCH>;
// Of this block and of the next, which some threads keep while others still add up.
var<workgroup> factors: array<Factors, 2u * OPERANDS>;

// The thread's part of the block that comes next.
var<private> next: array<Operand, LOADS>;

fn load(firstRow: u32, firstOut: u32, block: u32, thread: u32) {
  for (var i = 0u; i < LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_ROWS) {
      next[i] = rowOperand(xRow(firstRow + at), block, params.blocks);
    } else if (at < OPERANDS) {
      next[i] = weightOperand(weightBase(firstOut + at - TILE_ROWS), block, params.blocks);
    }
  }
}

fn keep(firstFactor: u32, thread: u32) {
  for (var i = 0u; i < LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < OPERANDS) {
      keepOperand(at, next[i].low, next[i].high);
      factors[firstFactor + at] = next[i].factors;
    }
  }
}

// The products of a block, of as many rows as there are; subgroups that find no unit are idle.
fn multiply(rows: u32, subgroup: u32, subgroups: u32) {
  for (var unit = subgroup; unit < UNITS; unit += subgroups) {
    let row = unit / UNITS_ACROSS * M;
    if (row >= rows) {
      return;
    }
    let o = unit % UNITS_ACROSS * (N * STRIP);
    //# for s in STRIP
    var product$s = subgroup_matrix_result<i32, N, M>();
    //# end
    for (var column = 0u; column < 32u; column += K) {
      let at = column / ELEMENT_COLUMNS;
      let left = subgroupMatrixLoad<subgroup_matrix_left<i8, K, M>, row_major>(&operands, row * PITCH + at, PITCH);
      //# for s in STRIP
      let right$s = subgroupMatrixLoad<subgroup_matrix_right<i8, N, K>, col_major>(
        &operands, (TILE_ROWS + o + $su * N) * PITCH + at, PITCH,
      );
      product$s = subgroupMatrixMultiplyAccumulate(left, right$s, product$s);
      //# end
    }
    //# for s in STRIP
    subgroupMatrixStore<row_major>(&products, row * QUAD_PITCH + (o + $su * N) / 4u, product$s, QUAD_PITCH);
    //# end
  }
}

// The thread's results: rows ROW_STEP apart from \`rowInTile\` on, of its quad of outputs.
fn tileResults(firstRow: u32, rows: u32, firstOut: u32, thread: u32, subgroupThreads: u32) -> array<vec4f, ROWS> {
  let quad = quadInTile(thread);
  let row = rowInTile(thread);
  var firstFactor = 0u;
  var totals = array<vec4f, ROWS>();
  load(firstRow, firstOut, 0u, thread);
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<vec4f, ROWS>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      keep(firstFactor, thread);
      workgroupBarrier();
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var following = block + params.segments;
      following = select(following, segment + 1u, following >= params.blocks);
      load(firstRow, firstOut, min(following, params.blocks - 1u), thread);
      multiply(rows, thread / subgroupThreads, THREADS / subgroupThreads);
      workgroupBarrier();

      var scales: array<Factors, 4>;
      for (var j = 0u; j < 4u; j++) {
        scales[j] = factors[firstFactor + TILE_ROWS + 4u * quad + j];
      }
      for (var i = 0u; i < ROWS; i++) {
        let at = row + i * ROW_STEP;
        let exact = products[at * QUAD_PITCH + quad];
        let x = factors[firstFactor + at];
        sums[i] = vec4f(
          addExact(exact.x, scales[0], x, sums[i].x), addExact(exact.y, scales[1], x, sums[i].y),
          addExact(exact.z, scales[2], x, sums[i].z), addExact(exact.w, scales[3], x, sums[i].w),
        );
      }
      firstFactor = OPERANDS - firstFactor;
    }
    for (var i = 0u; i < ROWS; i++) {
      totals[i] += sums[i];
    }
  }
  return totals;
}

fn rowInTile(thread: u32) -> u32 {
  return thread / QUADS;
}

fn quadInTile(thread: u32) -> u32 {
  return thread % QUADS;
}
`,
  'maxima-plain': `// The greatest of what eight neighbouring threads bring, by workgroup memory, TURNS times: each thread notes its own, then all
// meet at \`maximaBarrier\`, then each may read. Where subgroups have eight threads, \`maxima-subgroups.wgsl\` takes its place.

var<workgroup> maxima: array<f32, THREADS * TURNS>;

fn noteMaximum(value: f32, turn: u32, thread: u32) {
  maxima[turn * THREADS + thread] = value;
}

fn maximaBarrier() {
  workgroupBarrier();
}

fn maximumOfEight(turn: u32, thread: u32) -> f32 {
  var greatest = 0.0;
  for (var i = 0u; i < 8u; i++) {
    greatest = max(greatest, maxima[turn * THREADS + (thread & ~7u) + i]);
  }
  return greatest;
}
`,
  'maxima-subgroups': `// What \`maxima-plain.wgsl\` does, by subgroups of eight threads or more: nobody waits for anybody else, and the greatest is the
// same in any order.
enable subgroups;

var<private> maxima: array<f32, TURNS>;

fn noteMaximum(value: f32, turn: u32, thread: u32) {
  let two = max(value, subgroupShuffleXor(value, 1u));
  let four = max(two, subgroupShuffleXor(two, 2u));
  maxima[turn] = max(four, subgroupShuffleXor(four, 4u));
}

fn maximaBarrier() {}

fn maximumOfEight(turn: u32, thread: u32) -> f32 {
  return maxima[turn];
}
`,
  'mix-routes': `// out[r] = Σ weights[p] · x[p] over the routes p of row r, in their order
//
// x        f32 [token rows · perToken, stride]
// weights  f32 [token rows, perToken]
// out      f32 [token rows, stride]
//
// One thread an element, padding included. Bound by memory.

struct Params {
  stride: u32,
  perToken: u32,
}

@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.stride;
  if (row >= rowsOf(0u)) {
    return;
  }
  var sum = 0.0;
  for (var p = row * params.perToken; p < (row + 1u) * params.perToken; p++) {
    sum = fma(weights[p], x[p * params.stride + index % params.stride], sum);
  }
  out[index] = sum;
}
`,
  'norm-end-codes': `// Keeps a row that is normed in 8 bits alone. Follows \`quantize-four.wgsl\`.

fn noteNormed(values: vec4f, turn: u32, thread: u32) {
  noteFour(values, turn, thread);
}

fn normedBarrier() {
  maximaBarrier();
}

fn keepNormed(values: vec4f, four: u32, turn: u32, thread: u32) {
  storeCodes(values, four, turn, thread);
}
`,
  'norm-end-floats': `// Keeps a row that is normed as floats.

const TURNS: u32 = 1u;
// f32 [rows, outs], as vectors
@group(0) @binding(3) var<storage, read_write> normed: array<vec4f>;

fn noteNormed(values: vec4f, turn: u32, thread: u32) {}

fn normedBarrier() {}

fn keepNormed(values: vec4f, four: u32, turn: u32, thread: u32) {
  normed[four] = values;
}
`,
  'norm-pair': `// The norm of what a block puts out, its sum with the residual stream, and the norm of that: add[r] becomes
// add[r] / sqrt(mean(add[r]²) + addEps) · addWeight, x[r] += addScale · add[r], and with NORM
// out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) · weight[i]. With QUANTIZE the 8-bit form of out[r], too, or of x[r] without NORM.
//
// x, add, out        f32 [rows, stride], as vectors
// weight, addWeight  f32 [cols], as vectors
//
// What \`norm-rows.wgsl\` does twice, with the same bits, and a sum without a norm like \`add-scaled.wgsl\`. One workgroup a row;
// thread t takes columns 4t … 4t+3, 4(t + THREADS), …. Follows \`sum-threads.wgsl\` and \`quantize-four.wgsl\`. Bound as that is.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
  addScale: f32,
  addEps: f32,
}

@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> add: array<vec4f>;
@group(0) @binding(6) var<storage, read> weight: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(8) var<storage, read> addWeight: array<vec4f>;

const THREADS: u32 = 256u;
const NORM: bool = true;

fn addSquares(four: vec4f, sum: f32) -> f32 {
  return fma(four.x, four.x, fma(four.y, four.y, fma(four.z, four.z, fma(four.w, four.w, sum))));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  // Where workgroups are not folded each has a row, and need not wait for the count.
  if (count.y > 1u && row >= rowsOf(params.domain)) {
    return;
  }
  let fours = params.cols / 4u;
  let at = row * fours;
  var squares = 0.0;
  // A thread keeps its columns, and nothing is read twice.
  //# for t in TURNS
  let i$t = $tu * THREADS + thread;
  var kept$t = vec4f(0.0);
  var x$t = vec4f(0.0);
  var addWeight$t = vec4f(0.0);
  if (i$t < fours) {
    kept$t = add[at + i$t];
    x$t = x[at + i$t];
    addWeight$t = addWeight[i$t];
  }
  //# end
  //# for t in TURNS
  squares = addSquares(kept$t, squares);
  //# end
  let addRoot = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.addEps);
  squares = 0.0;
  //# for t in TURNS
  kept$t = kept$t * addRoot * addWeight$t;
  if (i$t < fours) {
    add[at + i$t] = kept$t;
    kept$t = x$t + params.addScale * kept$t;
    x[at + i$t] = kept$t;
  }
  squares = addSquares(kept$t, squares);
  //# end
  if (NORM) {
    workgroupBarrier();
    let root = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.eps);
    //# for t in TURNS
    if (i$t < fours) {
      kept$t = kept$t * root * weight[i$t];
      out[at + i$t] = kept$t;
    }
    //# end
  }
  if (QUANTIZE) {
    //# for t in TURNS
    noteFour(kept$t, $tu, thread);
    //# end
    maximaBarrier();
    //# for t in TURNS
    if (i$t < fours) {
      storeCodes(kept$t, at + i$t, $tu, thread);
    }
    //# end
  }
}
`,
  'norm-rows': `// x[r] += addScale · add[r]; out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) · weight[i], and with QUANTIZE the 8-bit form of out[r].
//
// x, add, out  f32 [rows, stride], as vectors; with IN_PLACE the result goes to x, and \`out\` is not touched
// weight       f32 [cols], as vectors
//
// The form for rows of whole blocks of 32. One workgroup a row; thread t takes columns 4t … 4t+3, 4(t + THREADS), …. Follows
// \`sum-threads.wgsl\` and \`quantize-four.wgsl\`. Bound by memory for many rows, for one by the time that a workgroup takes: hence
// many threads, and all that is read is asked for at once. Source: Zhang and Sennrich, arXiv:1910.07467.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
  addScale: f32,
}

@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(5) var<storage, read> add: array<vec4f>;
@group(0) @binding(6) var<storage, read> weight: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 256u;
const RESIDUAL: bool = false;
const IN_PLACE: bool = false;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  // Where workgroups are not folded each has a row, and need not wait for the count.
  if (count.y > 1u && row >= rowsOf(params.domain)) {
    return;
  }
  let fours = params.cols / 4u;
  let at = row * fours;
  // A thread keeps its columns, and nothing is read twice.
  //# for t in TURNS
  let i$t = $tu * THREADS + thread;
  var kept$t = vec4f(0.0);
  var weight$t = vec4f(0.0);
  if (i$t < fours) {
    weight$t = weight[i$t];
    kept$t = x[at + i$t];
    if (RESIDUAL) {
      kept$t += params.addScale * add[at + i$t];
    }
  }
  //# end
  var squares = 0.0;
  //# for t in TURNS
  if (RESIDUAL && i$t < fours) {
    x[at + i$t] = kept$t;
  }
  squares = fma(kept$t.w, kept$t.w, squares);
  squares = fma(kept$t.z, kept$t.z, squares);
  squares = fma(kept$t.y, kept$t.y, squares);
  squares = fma(kept$t.x, kept$t.x, squares);
  //# end
  let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.eps);
  //# for t in TURNS
  if (i$t < fours) {
    kept$t = kept$t * scale * weight$t;
    if (IN_PLACE) {
      x[at + i$t] = kept$t;
    } else {
      out[at + i$t] = kept$t;
    }
  }
  if (QUANTIZE) {
    noteFour(kept$t, $tu, thread);
  }
  //# end
  if (QUANTIZE) {
    maximaBarrier();
    //# for t in TURNS
    if (i$t < fours) {
      storeCodes(kept$t, at + i$t, $tu, thread);
    }
    //# end
  }
}
`,
  norm: `// x[r] += addScale · add[r]; out[r][i] = (x[r][i] − shift) / sqrt(mean((x[r] − shift)²) + eps) · weight[i] + bias[i], with
// shift = mean(x[r]) where CENTERED, else 0.
//
// x, add, out   f32 [rows, stride]; with IN_PLACE the result goes to x, and \`out\` is not touched
// weight, bias  f32 [cols]
//
// Columns \`first\` to first + cols of a row. One workgroup a row; thread t takes columns t, t + THREADS, …. Follows
// \`sum-threads.wgsl\`. Bound by memory.
// Sources: Zhang and Sennrich, arXiv:1910.07467; Ba et al., arXiv:1607.06450.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
  addScale: f32,
  first: u32,
}

@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> add: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read> bias: array<f32>;

const THREADS: u32 = 128u;
const RESIDUAL: bool = false;
const IN_PLACE: bool = false;
const CENTERED: bool = false;
const BIAS: bool = false;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.stride + params.first;
  var plain = 0.0;
  var squares = 0.0;
  for (var i = thread; i < params.cols; i += THREADS) {
    var value = x[at + i];
    if (RESIDUAL) {
      value += add[at + i] * params.addScale;
      x[at + i] = value;
    }
    plain += value;
    squares = fma(value, value, squares);
  }
  var shift = 0.0;
  if (CENTERED) {
    shift = sumOfThreads(plain, thread) / f32(params.cols);
    squares = 0.0;
    for (var i = thread; i < params.cols; i += THREADS) {
      let value = x[at + i] - shift;
      squares = fma(value, value, squares);
    }
    workgroupBarrier();
  }
  let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.eps);
  for (var i = thread; i < params.cols; i += THREADS) {
    var value = (x[at + i] - shift) * scale * weight[i];
    if (BIAS) {
      value += bias[i];
    }
    if (IN_PLACE) {
      x[at + i] = value;
    } else {
      out[at + i] = value;
    }
  }
}
`,
  'params-immediate': `// A kernel's arguments, of the struct \`Params\` that it declares: in the commands themselves, so that none waits for memory.
var<immediate> params: Params;
`,
  'params-uniform': `// A kernel's arguments, of the struct \`Params\` that it declares: in a uniform buffer, which every adapter has.
@group(0) @binding(0) var<uniform> params: Params;
`,
  'product-affine': `// A block's products for weights of codes, scales and mins and 8-bit activations, in the form that the linear kernels ask
// for: Σ code · activation exact in integers for all columns of a scale, 32 or 16, times that; Σ activation times the min;
// all times the scale of the activations. Follows a file that declares \`dotBytes\`, a \`codes-*\` and a \`factors-*\` file.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

struct Block {
  codes: Codes,
  factors: vec3f,
}

// A block of one row of x: signed bytes, their scale and, where weights have mins, their sum.
struct XBlock {
  low: vec4u,
  high: vec4u,
  scale: f32,
  sum: f32,
}

fn dotHalf(a: vec4u, b: vec4u) -> i32 {
  return dotBytes(a.x, b.x) + dotBytes(a.y, b.y) + dotBytes(a.z, b.z) + dotBytes(a.w, b.w);
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  return Block(codesOf(base, block), factorsOf(base, block, blocks));
}

fn loadRow(row: u32, block: u32, blocks: u32) -> XBlock {
  let at = row * blocks + block;
  let low = x[2u * at];
  let high = x[2u * at + 1u];
  if (!HAS_MIN) {
    return XBlock(low, high, xScales[at], 0.0);
  }
  let ones = vec4u(0x01010101u);
  return XBlock(low, high, xScales[at], f32(dotHalf(ones, low) + dotHalf(ones, high)));
}

// The scale and min of a block of weights; the scale and sum of a block of x.
alias Factors = vec2f;

// sum + a block's exact product and its min's share, scaled.
fn addExact(exact: i32, weight: Factors, row: Factors, sum: f32) -> f32 {
  return fma(fma(row.y, weight.y, f32(exact) * weight.x), row.x, sum);
}

// sum + the products of one block of one row.
fn addBlock(weight: Block, row: XBlock, sum: f32) -> f32 {
  let low = dotHalf(weight.codes.low, row.low);
  let high = dotHalf(weight.codes.high, row.high);
  if (ONE_SCALE) {
    return addExact(low + high, weight.factors.xz, vec2f(row.scale, row.sum), sum);
  }
  let both = fma(f32(high), weight.factors.y, f32(low) * weight.factors.x);
  return fma(fma(row.sum, weight.factors.z, both), row.scale, sum);
}
`,
  'product-float': `// A block's products for float weights, in the form that the linear kernels ask for. A block is 8 columns here, so that
// neighbouring threads, which take neighbouring blocks, read neighbouring vectors of halves.

// f32 [rows, 8 · blocks], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

struct Block {
  low: vec4f,
  high: vec4f,
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  return Block(weightAt(base, 2u * block), weightAt(base, 2u * block + 1u));
}

fn loadRow(row: u32, block: u32, blocks: u32) -> Block {
  let at = 2u * (row * blocks + block);
  return Block(x[at], x[at + 1u]);
}

fn addFour(w: vec4f, v: vec4f, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// sum + the products of one block of one row, column by column.
fn addBlock(weight: Block, row: Block, sum: f32) -> f32 {
  return addFour(weight.high, row.high, addFour(weight.low, row.low, sum));
}
`,
  'product-quantized': `// A block's products for quantised weights and 8-bit activations, in the form that the linear kernels ask for: exact in
// integers, then times both scales.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

struct Block {
  codes: Codes,
  scale: f32,
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  return Block(codesOf(base, block), scaleOf(base, block, blocks));
}

fn loadRow(row: u32, block: u32, blocks: u32) -> XBlock {
  let at = row * blocks + block;
  return xBlock(x[2u * at], x[2u * at + 1u], xScales[at]);
}

// The scale of a block of weights, and that of a block of x.
alias Factors = f32;

// sum + a block's exact product, times its scales.
fn addExact(exact: i32, weight: Factors, row: Factors, sum: f32) -> f32 {
  return fma(f32(exact), weight * row, sum);
}

// sum + the products of one block of one row.
fn addBlock(weight: Block, row: XBlock, sum: f32) -> f32 {
  return addExact(dotBlock(weight.codes, row), weight.scale, row.scale, sum);
}
`,
  'quantize-four': `// Rounds a row to 8 bits in the kernel that makes it, so that linear finds its x ready: the same blocks, scales and bytes
// as \`quantize-rows.wgsl\`. Every thread brings four neighbouring columns TURNS times, eight neighbouring threads a block:
// first all \`noteFour\`, then \`maximaBarrier\`, then all \`storeCodes\`. Follows a \`maxima-*.wgsl\` and a file that declares THREADS,
// a multiple of eight.
//
// codes   a word of signed bytes for every four columns, [rows, stride / 4]
// scales  f32 [rows, stride / 32]

const CODES_BINDING: u32 = 2u;
const SCALES_BINDING: u32 = 3u;
@group(0) @binding(CODES_BINDING) var<storage, read_write> codes: array<u32>;
@group(0) @binding(SCALES_BINDING) var<storage, read_write> scales: array<f32>;

const QUANTIZE: bool = false;
const TURNS: u32 = 1u;

fn noteFour(values: vec4f, turn: u32, thread: u32) {
  let pair = max(abs(values.xy), abs(values.zw));
  noteMaximum(max(pair.x, pair.y), turn, thread);
}

// \`four\` counts from the tensor's first columns.
fn storeCodes(values: vec4f, four: u32, turn: u32, thread: u32) {
  let greatest = maximumOfEight(turn, thread);
  let scale = select(greatest / 127.0, 0.0, greatest < 1e-30);
  let inverse = select(1.0 / scale, 0.0, greatest < 1e-30);
  let bytes = bitcast<vec4u>(vec4i(clamp(round(values * inverse), vec4f(-127.0), vec4f(127.0)))) & vec4u(0xffu);
  codes[four] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  if ((thread & 7u) == 0u) {
    scales[four / 8u] = scale;
  }
}
`,
  'quantize-rows': `// Rounds activations to 8 bits in blocks of 32 columns: d = max|x| / 127, code = round(x · (1 / d)), halves to even.
//
// x       f32 [rows, stride], as vectors
// codes   two vectors of signed bytes a block, [rows, blocks]
// scales  f32 [rows, blocks]
//
// One thread a block. Bound by memory. A block of nearly nothing becomes zeros.

struct Params {
  blocks: u32,
  stride: u32,
  domain: u32,
}

@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> codes: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;

const THREADS: u32 = 64u;

fn packed(values: vec4f) -> u32 {
  let bytes = bitcast<vec4u>(vec4i(clamp(round(values), vec4f(-127.0), vec4f(127.0)))) & vec4u(0xffu);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.blocks;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * (params.stride / 4u) + 8u * (index % params.blocks);
  var most = vec4f(0.0);
  for (var i = 0u; i < 8u; i++) {
    most = max(most, abs(x[at + i]));
  }
  let greatest = max(max(most.x, most.y), max(most.z, most.w));
  let scale = select(greatest / 127.0, 0.0, greatest < 1e-30);
  let inverse = select(1.0 / scale, 0.0, greatest < 1e-30);
  var words = array<u32, 8>();
  for (var i = 0u; i < 8u; i++) {
    words[i] = packed(x[at + i] * inverse);
  }
  codes[2u * index] = vec4u(words[0], words[1], words[2], words[3]);
  codes[2u * index + 1u] = vec4u(words[4], words[5], words[6], words[7]);
  scales[index] = scale;
}
`,
  'rope-and-cache': `// Norms and rotates the q and k heads of each row, leaves q in place, and writes k and v to the row's position.
//
// qkv           f32 [token rows, stride]: heads, then kvHeads of k, then kvHeads of v, HEAD_DIM each
// qNorm, kNorm  f32 [HEAD_DIM]
//
// One workgroup for each head of each row. Follows \`sum-threads.wgsl\`; \`head-end.wgsl\` and a \`store-*.wgsl\` follow. Bound by memory.

struct Params {
  stride: u32,
  eps: f32,
}

@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(4) var<storage, read> qNorm: array<f32>;
@group(0) @binding(5) var<storage, read> kNorm: array<f32>;

const THREADS: u32 = 64u;

fn normWeight(isQuery: bool, i: u32) -> f32 {
  return select(kNorm[i], qNorm[i], isQuery);
}

fn keepQuery(row: u32, h: u32, i: u32, value: f32) {
  qkv[row * params.stride + h * HEAD_DIM + i] = value;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let perRow = HEADS + 2u * KV_HEADS;
  let index = workgroupIndex(id, count);
  let row = index / perRow;
  let h = index % perRow;
  if (row >= rowsOf(0u)) {
    return;
  }
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    head[i] = qkv[row * params.stride + h * HEAD_DIM + i];
  }
  endHead(row, h, params.eps, thread);
}
`,
  route: `// The PER_TOKEN greatest scores of each row in order, of equals the first, and their shares of the softmax.
//
// scores   f32 [token rows, stride]
// chosen   u32 [token rows, PER_TOKEN]
// weights  f32 [token rows, PER_TOKEN]
//
// One workgroup a row; thread t takes experts t, t + THREADS, … and counts for each how many come before it, which is its
// place: no expert waits for another. Sums over all experts are those of \`sum-threads.wgsl\`, which it follows. Places that no
// number takes have expert 0. Bound by the comparisons of a thread.

struct Params {
  experts: u32,
  stride: u32,
  normalize: u32,
  scale: f32,
  // Equal runs of experts, at most 32, of which \`chosenGroups\` with the greatest scores are eligible.
  groups: u32,
  chosenGroups: u32,
}

@group(0) @binding(2) var<storage, read> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;

const THREADS: u32 = 64u;
// Routes of a row.
const PER_TOKEN: u32 = 1u;
const LOWEST: f32 = -3.0e38;

// In order.
var<workgroup> bestScores: array<f32, PER_TOKEN>;
var<workgroup> bestExperts: array<u32, PER_TOKEN>;
// The greatest score of each group.
var<workgroup> groupScores: array<f32, 32>;

// A bit for each eligible group; all threads call it together.
fn eligibleGroups(at: u32, thread: u32) -> u32 {
  if (params.groups == 1u) {
    return 1u;
  }
  let perGroup = params.experts / params.groups;
  for (var g = thread; g < params.groups; g += THREADS) {
    var most = LOWEST;
    for (var i = g * perGroup; i < (g + 1u) * perGroup; i++) {
      most = max(most, scores[at + i]);
    }
    groupScores[g] = most;
  }
  workgroupBarrier();
  var eligible = 0u;
  for (var round = 0u; round < params.chosenGroups; round++) {
    var best = 0u;
    var most = -3.4e38;
    for (var g = 0u; g < params.groups; g++) {
      if (((eligible >> g) & 1u) == 0u && groupScores[g] > most) {
        most = groupScores[g];
        best = g;
      }
    }
    eligible |= 1u << best;
  }
  return eligible;
}

// How many of the eligible experts come before expert i.
fn placeOf(i: u32, at: u32, eligible: u32) -> u32 {
  let score = scores[at + i];
  let perGroup = params.experts / params.groups;
  var place = 0u;
  for (var g = 0u; g < params.groups; g++) {
    if (((eligible >> g) & 1u) == 1u) {
      for (var j = g * perGroup; j < (g + 1u) * perGroup; j++) {
        let other = scores[at + j];
        place += select(0u, 1u, other > score || (other == score && j < i));
      }
    }
  }
  return place;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  if (row >= rowsOf(0u)) {
    return;
  }
  let at = row * params.stride;
  let to = row * PER_TOKEN;
  let eligible = eligibleGroups(at, thread);
  for (var i = thread; i < PER_TOKEN; i += THREADS) {
    bestScores[i] = LOWEST;
    bestExperts[i] = 0u;
  }
  workgroupBarrier();
  let perGroup = params.experts / params.groups;
  for (var i = thread; i < params.experts; i += THREADS) {
    let score = scores[at + i];
    if (((eligible >> (i / perGroup)) & 1u) == 1u && score > LOWEST) {
      let place = placeOf(i, at, eligible);
      if (place < PER_TOKEN) {
        bestScores[place] = score;
        bestExperts[place] = i;
      }
    }
  }
  workgroupBarrier();
  let first = bestScores[0];
  var total = 0.0;
  if (params.normalize == 1u) {
    for (var i = 0u; i < PER_TOKEN; i++) {
      total += powerOf(bestScores[i], first);
    }
  } else {
    for (var i = thread; i < params.experts; i += THREADS) {
      total += powerOf(scores[at + i], first);
    }
    total = sumOfThreads(total, thread);
  }
  for (var i = thread; i < PER_TOKEN; i += THREADS) {
    chosen[to + i] = bestExperts[i];
    weights[to + i] = powerOf(bestScores[i], first) / total * params.scale;
  }
}

fn powerOf(score: f32, first: f32) -> f32 {
  return exp(max(score - first, -80.0));
}
`,
  'scale-and-cap': `// x[r] = cap · tanh(scale · x[r] / cap), or scale · x[r] where cap is 0
//
// x  f32 [rows, stride]
//
// One thread an element. Bound by memory. tanh is clamped where it no longer changes.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  scale: f32,
  cap: f32,
}

@group(0) @binding(2) var<storage, read_write> x: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.cols;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.stride + index % params.cols;
  let value = params.scale * x[at];
  if (params.cap > 0.0) {
    x[at] = params.cap * tanh(clamp(value / params.cap, -15.0, 15.0));
  } else {
    x[at] = value;
  }
}
`,
  'span-plain': `// Sums over SPAN neighbouring threads: here a thread is alone. Where subgroups are used, \`span-subgroups.wgsl\` takes its place.

const SPAN: u32 = 1u;

fn spanSum(value: f32) -> f32 {
  return value;
}
`,
  'span-subgroups': `// Sums and maxima over SPAN neighbouring threads, which share a subgroup: in pairs, pairs of pairs and so on. Each thread adds the same
// two numbers as its partner, so all have the same bits. SPAN is what every subgroup of the adapter has at least, up to 32
// and to THREADS: the subgroup of a kernel may be larger, and no bit depends on that. Source: WGSL, "Subgroup built-in functions".
enable subgroups;

const SPAN: u32 = 4u;

fn spanSum(value: f32) -> f32 {
  var sum = value;
  if (SPAN >= 2u) {
    sum += subgroupShuffleXor(sum, 1u);
  }
  if (SPAN >= 4u) {
    sum += subgroupShuffleXor(sum, 2u);
  }
  if (SPAN >= 8u) {
    sum += subgroupShuffleXor(sum, 4u);
  }
  if (SPAN >= 16u) {
    sum += subgroupShuffleXor(sum, 8u);
  }
  if (SPAN >= 32u) {
    sum += subgroupShuffleXor(sum, 16u);
  }
  return sum;
}

fn spanMax(value: f32) -> f32 {
  var most = value;
  for (var distance = 1u; distance < SPAN; distance *= 2u) {
    most = max(most, subgroupShuffleXor(most, distance));
  }
  return most;
}
`,
  step: `// What changes from step to step, in one buffer of words. Every kernel begins with this file.
//
//   step[0]  token rows                     step[6]   words of a block table
//   step[1]  rows with logits               step[7]   attention splits that the longest context takes
//   step[2]  where positions begin          step[8]   rows that stand alone in their sequence, of neighbours
//   step[3]  where slots begin              step[9]   where their list begins
//   step[4]  where the logit rows begin     step[10]  attention splits that the longest of them takes
//   step[5]  where the block tables begin   step[11]  runs of rows that follow one another in a sequence
//   step[13] where rope rows begin          step[12]  where the runs begin: first row and number of rows each
//   step[16] the first token id

@group(0) @binding(1) var<storage, read> step: array<u32>;

// Rows of a domain: 0 all token rows, 1 the rows whose logits are wanted; 2·n more where there are n + 1 rows for each.
fn rowsOf(domain: u32) -> u32 {
  return step[domain & 1u] * ((domain >> 1u) + 1u);
}

fn tokenOf(row: u32) -> u32 {
  return step[16u + row];
}

fn positionOf(row: u32) -> u32 {
  return step[step[2] + row];
}

// The row of the rope table that turns a row.
fn ropeRowOf(row: u32) -> u32 {
  return step[step[13] + row];
}

fn slotOf(row: u32) -> u32 {
  return step[step[3] + row];
}

// The row whose logits go to row j of the logits domain.
fn logitRow(j: u32) -> u32 {
  return step[step[4] + j];
}

// The cache block that holds position 16·i of a sequence.
fn blockOf(slot: u32, i: u32) -> u32 {
  return step[step[5] + slot * step[6] + i];
}

// More workgroups than one dimension holds are folded into x and y.
fn workgroupIndex(id: vec3u, count: vec3u) -> u32 {
  return id.y * count.x + id.x;
}
`,
  'store-f16': `// Writes fours of a head to the cache as \`cache-f16.wgsl\` reads it; with a file that declares FOURS. Rounded here, to the
// nearest half and of two the even one: WGSL leaves open how \`pack2x16float\` rounds.

@group(0) @binding(6) var<storage, read_write> keys: array<vec2u>;
const VALUES_BINDING: u32 = 7u;
@group(0) @binding(VALUES_BINDING) var<storage, read_write> values: array<vec2u>;

fn halfOf(x: f32) -> u32 {
  let bits = bitcast<u32>(clamp(x, -65504.0, 65504.0));
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) {
    // A subnormal half counts in units of 2^-24.
    return sign | u32(round(bitcast<f32>(magnitude) * 16777216.0));
  }
  return sign | (((magnitude + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u) - (112u << 10u));
}

fn halvesOf(four: vec4f) -> vec2u {
  return vec2u(halfOf(four.x) | (halfOf(four.y) << 16u), halfOf(four.z) | (halfOf(four.w) << 16u));
}

fn putKey(page: u32, inPage: u32, i: u32, four: vec4f) {
  keys[(page * FOURS + i) * 16u + inPage] = halvesOf(four);
}

fn putValue(page: u32, inPage: u32, i: u32, four: vec4f) {
  values[(page * 16u + inPage) * FOURS + i] = halvesOf(four);
}
`,
  'store-f32': `// Writes fours of a head to the cache as \`cache-f32.wgsl\` reads it; with a file that declares FOURS.

@group(0) @binding(6) var<storage, read_write> keys: array<vec4f>;
const VALUES_BINDING: u32 = 7u;
@group(0) @binding(VALUES_BINDING) var<storage, read_write> values: array<vec4f>;

fn putKey(page: u32, inPage: u32, i: u32, four: vec4f) {
  keys[(page * FOURS + i) * 16u + inPage] = four;
}

fn putValue(page: u32, inPage: u32, i: u32, four: vec4f) {
  values[(page * 16u + inPage) * FOURS + i] = four;
}
`,
  'store-head': `// Writes the head in \`turned\` to the cache, four by four; follows \`rope-and-cache.wgsl\` and a \`store-*.wgsl\` with no scales.

fn storeKey(page: u32, inPage: u32, thread: u32) {
  for (var i = thread; i < FOURS; i += THREADS) {
    putKey(page, inPage, i, headFour(i));
  }
}

fn storeValue(page: u32, inPage: u32, thread: u32) {
  for (var i = thread; i < FOURS; i += THREADS) {
    putValue(page, inPage, i, headFour(i));
  }
}
`,
  'store-i8': `// Writes the head in \`turned\` to the cache as \`cache-i8.wgsl\` reads it; follows \`rope-and-cache.wgsl\`. An element becomes the
// nearest multiple, of two the even one, of 1/127 of the greatest of the head.

@group(0) @binding(6) var<storage, read_write> keys: array<u32>;
const VALUES_BINDING: u32 = 7u;
@group(0) @binding(VALUES_BINDING) var<storage, read_write> values: array<u32>;

const PAGE_WORDS: u32 = 16u + 16u * FOURS;
const LEAST_SCALED: f32 = 1e-30;

// The scale, which every thread finds for itself, and its inverse; both 0 for a head of zeros.
fn scaleOfHead() -> vec2f {
  var most = 0.0;
  for (var i = 0u; i < FOURS; i++) {
    let four = abs(headFour(i));
    most = max(most, max(max(four.x, four.y), max(four.z, four.w)));
  }
  if (!(most > LEAST_SCALED)) {
    return vec2f(0.0);
  }
  // A quotient may be off by some units in the last place; what is left over corrects it.
  let near = most / 127.0;
  let step = near + fma(-127.0, near, most) / 127.0;
  return vec2f(step, 1.0 / step);
}

fn bytesOf(four: vec4f, inverse: f32) -> u32 {
  let bytes = vec4u(vec4i(round(four * inverse))) & vec4u(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

fn storeKey(page: u32, inPage: u32, thread: u32) {
  let scale = scaleOfHead();
  let at = page * PAGE_WORDS;
  if (thread == 0u) {
    keys[at + inPage] = bitcast<u32>(scale.x);
  }
  for (var i = thread; i < FOURS; i += THREADS) {
    keys[at + 16u + i * 16u + inPage] = bytesOf(headFour(i), scale.y);
  }
}

fn storeValue(page: u32, inPage: u32, thread: u32) {
  let scale = scaleOfHead();
  let at = page * PAGE_WORDS;
  if (thread == 0u) {
    values[at + inPage] = bitcast<u32>(scale.x);
  }
  for (var i = thread; i < FOURS; i += THREADS) {
    values[at + 16u + inPage * FOURS + i] = bytesOf(headFour(i), scale.y);
  }
}
`,
  'sum-threads': `// The sum of what the threads of a workgroup bring, THREADS a power of two: in pairs of neighbours, pairs of pairs and so on.
// The order is that of THREADS alone, so the same with subgroups of any size and without. Follows a \`span-*.wgsl\`.

// Spans whose sums one thread adds up.
const TEAM: u32 = 16u;
const SPANS: u32 = THREADS / SPAN;

// Of the spans, then of teams of them.
var<workgroup> spanSums: array<f32, SPANS + SPANS / TEAM>;

fn sumOfTwo(i: u32) -> f32 {
  return spanSums[i] + spanSums[i + 1u];
}

fn sumOfFour(i: u32) -> f32 {
  return sumOfTwo(i) + sumOfTwo(i + 2u);
}

fn sumOfEight(i: u32) -> f32 {
  return sumOfFour(i) + sumOfFour(i + 4u);
}

fn sumOfSpans(first: u32, count: u32) -> f32 {
  switch (count) {
    case 2u: {
      return sumOfTwo(first);
    }
    case 4u: {
      return sumOfFour(first);
    }
    case 8u: {
      return sumOfEight(first);
    }
    default: {
      return sumOfEight(first) + sumOfEight(first + 8u);
    }
  }
}

// All threads call it together, and a barrier is between two calls.
fn sumOfThreads(value: f32, thread: u32) -> f32 {
  let sum = spanSum(value);
  if (SPANS == 1u) {
    return sum;
  }
  if (thread % SPAN == 0u) {
    spanSums[thread / SPAN] = sum;
  }
  workgroupBarrier();
  if (SPANS <= TEAM) {
    return sumOfSpans(0u, SPANS);
  }
  if (thread < SPANS / TEAM) {
    spanSums[SPANS + thread] = sumOfSpans(thread * TEAM, TEAM);
  }
  workgroupBarrier();
  return sumOfSpans(SPANS, SPANS / TEAM);
}
`,
  'table-iq4-nl': `// What the nibbles of IQ4_NL weights stand for.

// −127 −104 −83 −65 −49 −35 −22 −10 1 13 25 38 53 69 89 113, as bytes
const VALUES = vec4u(0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u);
`,
  'table-mxfp4': `// What the nibbles of MXFP4 weights stand for.

// Twice 0 0.5 1 1.5 2 3 4 6, then the same negated, as bytes
const VALUES = vec4u(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
`,
  'tile-weights-plain': `// From the scores of a split, those of positions \`first\` to \`last\`, to each tile's greatest and to the weights, by workgroup
// memory. Where subgroups are used, \`tile-weights-subgroups.wgsl\` takes its place. Belongs to \`attention-chunk.wgsl\`.

fn weighScores(first: u32, last: u32, thread: u32) {
  let start = first / SPLIT * SPLIT;
  workgroupBarrier();
  for (var i = thread; i < GROUP * TILES; i += THREADS) {
    let begin = max(first, start + i % TILES * TILE);
    let end = min(last + 1u, start + (i % TILES + 1u) * TILE);
    var most = LOWEST;
    for (var p = begin; p < end; p++) {
      most = max(most, scores[i / TILES * SPLIT + p % SPLIT]);
    }
    tileWeights[i].most = most;
  }
  workgroupBarrier();
  for (var p = start + thread; p <= last; p += THREADS) {
    for (var g = 0u; g < GROUP; g++) {
      let at = g * SPLIT + p % SPLIT;
      scores[at] = select(0.0, exp(scores[at] - tileWeights[g * TILES + p % SPLIT / TILE].most), p >= first);
    }
  }
  workgroupBarrier();
}
`,
  'tile-weights-subgroups': `// What \`tile-weights-plain.wgsl\` does, where each position of the split has a thread: a tile is 32 neighbouring threads, so one
// span or several, and a maximum is the same in any order. A thread keeps to its own scores until they are weights. Follows
// \`span-subgroups.wgsl\`.

// Of a tile.
const SPANS: u32 = TILE / SPAN;

// [GROUP, TILES, SPANS]
var<workgroup> spanMaxima: array<f32, GROUP * TILES * SPANS>;

fn weighScores(first: u32, last: u32, thread: u32) {
  let p = first / SPLIT * SPLIT + thread;
  let isSeen = p >= first && p <= last;
  for (var g = 0u; g < GROUP; g++) {
    var score = LOWEST;
    if (isSeen) {
      score = scores[g * SPLIT + thread];
    }
    let most = spanMax(score);
    if (SPANS == 1u) {
      setWeight(g, thread, score, most, isSeen);
    } else if (thread % SPAN == 0u) {
      spanMaxima[(g * SPLIT + thread) / SPAN] = most;
    }
  }
  if (SPANS > 1u) {
    workgroupBarrier();
    for (var g = 0u; g < GROUP; g++) {
      var most = LOWEST;
      for (var i = 0u; i < SPANS; i++) {
        most = max(most, spanMaxima[(g * TILES + thread / TILE) * SPANS + i]);
      }
      setWeight(g, thread, scores[g * SPLIT + thread], most, isSeen);
    }
  }
  workgroupBarrier();
}

fn setWeight(g: u32, thread: u32, score: f32, most: f32, isSeen: bool) {
  scores[g * SPLIT + thread] = select(0.0, exp(score - most), isSeen);
  if (thread % TILE == 0u) {
    tileWeights[g * TILES + thread / TILE].most = most;
  }
}
`,
  'weight-affine': `// Single elements of a weight of codes, scales and mins, for the embedding; follows a \`codes-*\` and a \`factors-*\` file.

fn signedByte(word: u32, i: u32) -> f32 {
  return f32(bitcast<i32>(word << (24u - 8u * i)) >> 24u);
}

// Columns 4i … 4i+3 of the row that begins at vector \`base\`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let block = i / 8u;
  let codes = codesOf(base, block);
  let factors = factorsOf(base, block, params.blocks);
  let isHigh = (i & 4u) == 4u;
  let four = select(codes.low, codes.high, isHigh);
  let word = four[i & 3u];
  let values = vec4f(signedByte(word, 0u), signedByte(word, 1u), signedByte(word, 2u), signedByte(word, 3u));
  return values * select(factors.x, factors.y, isHigh) + factors.z;
}
`,
  'weight-bf16': `// BF16 weights: a row is a run of upper halves of floats, padded with zeros to 32 columns.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector \`base\`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let eight = weights[base + i / 2u];
  return fourOf(select(eight, eight.zwxy, (i & 1u) == 1u));
}

// Four columns of the first two words.
fn fourOf(words: vec4u) -> vec4f {
  let mask = 0xffff0000u;
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & mask, words.y << 16u, words.y & mask));
}
`,
  'weight-codes': `// Single elements of a block-quantised weight, for the embedding; follows a file that declares \`codesOf\` and \`scaleOf\`.

fn signedByte(word: u32, i: u32) -> f32 {
  return f32(bitcast<i32>(word << (24u - 8u * i)) >> 24u);
}

// Columns 4i … 4i+3 of the row that begins at vector \`base\`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let block = i / 8u;
  let codes = codesOf(base, block);
  let four = select(codes.low, codes.high, (i & 4u) == 4u);
  let word = four[i & 3u];
  let values = vec4f(signedByte(word, 0u), signedByte(word, 1u), signedByte(word, 2u), signedByte(word, 3u));
  return (values - f32(CODE_OFFSET)) * scaleOf(base, block, params.blocks);
}
`,
  'weight-f16': `// F16 weights: a row is a run of halves, padded with zeros to 32 columns. Follows a \`widen-*.wgsl\`.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector \`base\`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let eight = weights[base + i / 2u];
  return fourOf(select(eight, eight.zwxy, (i & 1u) == 1u));
}

// Four columns of the first two words.
fn fourOf(words: vec4u) -> vec4f {
  return widened(words.xy);
}
`,
  'weight-f32': `// F32 weights: a row is a run of floats, padded with zeros to 32 columns.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector \`base\`.
fn weightAt(base: u32, i: u32) -> vec4f {
  return bitcast<vec4f>(weights[base + i]);
}

fn fourOf(words: vec4u) -> vec4f {
  return bitcast<vec4f>(words);
}
`,
  'weight-q4-0': `// Q4_0 weights: a row is one vector of nibbles for each block of 32 columns, then a half-precision scale a block. As in
// the file, byte i of a block holds column i in its low nibble and column i + 16 in its high one, each plus 8.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 bytes, four columns a word: what a column's code is, plus CODE_OFFSET.
struct Codes {
  low: vec4u,
  high: vec4u,
}

// Nibbles are multiplied as they are, and the offset's share is taken off a whole block at a time.
const CODE_OFFSET: i32 = 8;

fn codesOf(base: u32, block: u32) -> Codes {
  let pairs = weights[base + block];
  return Codes(pairs & vec4u(0x0f0f0f0fu), (pairs >> vec4u(4u)) & vec4u(0x0f0f0f0fu));
}

fn scaleOf(base: u32, block: u32, blocks: u32) -> f32 {
  let pair = unpack2x16float(weights[base + blocks + block / 8u][block / 2u % 4u]);
  return select(pair.x, pair.y, (block & 1u) == 1u);
}
`,
  'weight-q8-0': `// Q8_0 weights: a row is two vectors of signed bytes for each block of 32 columns, then a half-precision scale a block.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word: what a column's code is, plus CODE_OFFSET.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_OFFSET: i32 = 0;

fn codesOf(base: u32, block: u32) -> Codes {
  let at = base + 2u * block;
  return Codes(weights[at], weights[at + 1u]);
}

fn scaleOf(base: u32, block: u32, blocks: u32) -> f32 {
  let pair = unpack2x16float(weights[base + 2u * blocks + block / 8u][block / 2u % 4u]);
  return select(pair.x, pair.y, (block & 1u) == 1u);
}
`,
  'widen-f16': `// Four halves as floats, by the f16 type: where it is the adapter's own, no compiler has to pick words apart.

enable f16;

fn widened(halves: vec2u) -> vec4f {
  return vec4f(bitcast<vec4<f16>>(halves));
}
`,
  'widen-plain': `// Four halves as floats, by a function that needs no f16 type.

fn widened(halves: vec2u) -> vec4f {
  return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y));
}
`,
} as const;

export type ShaderName = keyof typeof SHADERS;
