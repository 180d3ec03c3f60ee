// Attention of up to 32 rows that follow one another in one sequence (prompts): they share what they read of the cache.
//
// qkv  f32 [token rows, stride], the query heads first, as vectors
// out  f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// A workgroup takes a run of rows (`runRow`) and GROUP heads, 32 · GROUP lines, and walks the tiles of 32 positions that any
// of them sees. Keys, queries and values come to workgroup memory 32 columns at a time. A thread computes 4 lines × 4
// positions of the scores, then 4 lines × 4 columns of the values, and keeps o of the split for its lines; what earlier
// splits came to waits in `out`. In the order of `attention-group.wgsl`, which it follows with a `cache-*.wgsl`,
// `attention-end.wgsl` and `quantize-four.wgsl`. Bound by arithmetic.

@group(0) @binding(4) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

const RUN: u32 = 32u;
const LINES: u32 = RUN * GROUP;
const THREADS: u32 = LINES * 2u;
// Pieces of 32 columns of a head.
const PIECES: u32 = HEAD_DIM / 32u;

// Queries [32 columns, LINES], four lines a vector; then scores and weights [32 positions, LINES].
var<workgroup> lineTile: array<vec4f, 8u * LINES>;
// Keys [32 columns, 32 positions], four positions a vector; then values [32 positions, 32 columns].
var<workgroup> cacheTile: array<vec4f, 256>;
// [LINES]: of the tile, of the split so far, of all splits before; and how the tile is merged into the split.
var<workgroup> tileLines: array<Weights, LINES>;
var<workgroup> splitLines: array<Weights, LINES>;
var<workgroup> beforeLines: array<Weights, LINES>;
var<workgroup> lineShares: array<Shares, LINES>;

// o of the split, [PIECES, 4 lines].
var<private> splitValues: array<vec4f, PIECES * 4u>;
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

fn isVisible(run: Run, line: u32, p: u32) -> bool {
  let position = run.position + line / GROUP;
  return line / GROUP < run.rows && p <= position && p >= firstVisible(position);
}

// Queries of columns 32·piece …, times the scale, and keys of the tile at `start`.
fn loadKeys(run: Run, piece: u32, start: u32, kvHead: u32, firstHead: u32, thread: u32) {
  for (var i = thread; i < 8u * LINES; i += THREADS) {
    let line = i % LINES;
    let column = i / LINES;
    let at = lineRow(run, line) * (params.stride / 4u) + (firstHead + line % GROUP) * FOURS + 8u * piece + column;
    let query = qkv[at] * params.scale;
    for (var j = 0u; j < 4u; j++) {
      lineTile[(4u * column + j) * (LINES / 4u) + line / 4u][line % 4u] = query[j];
    }
  }
  for (var i = thread; i < 256u; i += THREADS) {
    // What no row sees may be anything.
    let p = min(start + i % 32u, run.position + run.rows - 1u);
    let page = blockOf(run.slot, p / 16u) * params.kvHeads + kvHead;
    let key = keyAt(page, 8u * piece + i / 32u, p % 16u);
    for (var j = 0u; j < 4u; j++) {
      cacheTile[(4u * (i / 32u) + j) * 8u + i % 32u / 4u][i % 4u] = key[j];
    }
  }
}

// Values of columns 32·piece … of the tile; zeros where no row sees them, since weights of zero do not undo a NaN.
fn loadValues(run: Run, piece: u32, start: u32, kvHead: u32, thread: u32) {
  for (var i = thread; i < 256u; i += THREADS) {
    let p = start + i / 8u;
    var value = vec4f(0.0);
    if (p >= firstVisible(run.position) && p < run.position + run.rows) {
      value = valueAt(blockOf(run.slot, p / 16u) * params.kvHeads + kvHead, 8u * piece + i % 8u, p % 16u);
    }
    cacheTile[i] = value;
  }
}

// Scores of the thread's 4 lines and 4 positions become weights in `lineTile`; `tileLines` and `lineShares` follow.
fn weigh(run: Run, sums: array<vec4f, 4>, start: u32, thread: u32) {
  let four = thread / 8u;
  let firstOffset = thread % 8u * 4u;
  workgroupBarrier();
  for (var j = 0u; j < 4u; j++) {
    var scores: vec4f;
    for (var k = 0u; k < 4u; k++) {
      scores[k] = select(LOWEST, capped(sums[j][k]), isVisible(run, 4u * four + k, start + firstOffset + j));
    }
    lineTile[(firstOffset + j) * (LINES / 4u) + four] = scores;
  }
  workgroupBarrier();
  if (thread < LINES) {
    var most = LOWEST;
    for (var p = 0u; p < 32u; p++) {
      most = max(most, lineTile[p * (LINES / 4u) + thread / 4u][thread % 4u]);
    }
    tileLines[thread].most = most;
  }
  workgroupBarrier();
  for (var j = 0u; j < 4u; j++) {
    let scores = lineTile[(firstOffset + j) * (LINES / 4u) + four];
    var weights: vec4f;
    for (var k = 0u; k < 4u; k++) {
      let weight = exp(scores[k] - tileLines[4u * four + k].most);
      weights[k] = select(0.0, weight, isVisible(run, 4u * four + k, start + firstOffset + j));
    }
    lineTile[(firstOffset + j) * (LINES / 4u) + four] = weights;
  }
  workgroupBarrier();
  if (thread < LINES) {
    var total = 0.0;
    for (var p = 0u; p < 32u; p++) {
      total += lineTile[p * (LINES / 4u) + thread / 4u][thread % 4u];
    }
    let added = Weights(tileLines[thread].most, total);
    let shares = sharesOf(splitLines[thread], added);
    lineShares[thread] = shares;
    splitLines[thread] = merged(splitLines[thread], added, shares);
  }
}

// Merges the split into what came before it, in `out`; the last one leaves the result.
fn endSplit(run: Run, isFirst: bool, isLast: bool, firstHead: u32, thread: u32) {
  for (var k = 0u; k < 4u; k++) {
    let line = thread / 8u * 4u + k;
    let head = firstHead + line % GROUP;
    let shares = sharesOf(beforeLines[line], splitLines[line]);
    let weights = merged(beforeLines[line], splitLines[line], shares);
    let isStored = line / GROUP < run.rows;
    for (var piece = 0u; piece < PIECES; piece++) {
      let at = lineRow(run, line) * (params.outStride / 4u) + head * FOURS + 8u * piece + thread % 8u;
      var before = vec4f(0.0);
      if (!isFirst && isStored) {
        before = out[at];
      }
      var value = mergedValues(before, splitValues[4u * piece + k], shares);
      splitValues[4u * piece + k] = vec4f(0.0);
      if (isLast) {
        value = finished(value, weights, head);
      }
      if (isStored) {
        out[at] = value;
      }
      if (QUANTIZE && isLast) {
        workgroupBarrier();
        noteFour(value, 0u, thread);
        workgroupBarrier();
        if (isStored) {
          storeCodes(value, at, 0u, thread);
        }
      }
    }
  }
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
  let at = step[12] + 2u * (index / perRun);
  let run = Run(step[at], step[at + 1u], slotOf(step[at]), positionOf(step[at]));
  if (thread < LINES) {
    splitLines[thread] = Weights(LOWEST, 0.0);
    beforeLines[thread] = Weights(LOWEST, 0.0);
  }
  for (var i = 0u; i < PIECES * 4u; i++) {
    splitValues[i] = vec4f(0.0);
  }

  let firstTile = firstVisible(run.position) / TILE;
  let lastTile = (run.position + run.rows - 1u) / TILE;
  let four = thread / 8u;
  for (var tile = firstTile; tile <= lastTile; tile++) {
    let start = tile * TILE;
    var sums = array<vec4f, 4>();
    for (var piece = 0u; piece < PIECES; piece++) {
      workgroupBarrier();
      loadKeys(run, piece, start, kvHead, firstHead, thread);
      workgroupBarrier();
      for (var column = 0u; column < 32u; column++) {
        let query = lineTile[column * (LINES / 4u) + four];
        let key = cacheTile[column * 8u + thread % 8u];
        sums[0] = fma(vec4f(key.x), query, sums[0]);
        sums[1] = fma(vec4f(key.y), query, sums[1]);
        sums[2] = fma(vec4f(key.z), query, sums[2]);
        sums[3] = fma(vec4f(key.w), query, sums[3]);
      }
    }
    weigh(run, sums, start, thread);
    for (var piece = 0u; piece < PIECES; piece++) {
      workgroupBarrier();
      loadValues(run, piece, start, kvHead, thread);
      workgroupBarrier();
      var added = array<vec4f, 4>();
      for (var p = 0u; p < 32u; p++) {
        let weight = lineTile[p * (LINES / 4u) + four];
        let value = cacheTile[p * 8u + thread % 8u];
        added[0] = fma(vec4f(weight.x), value, added[0]);
        added[1] = fma(vec4f(weight.y), value, added[1]);
        added[2] = fma(vec4f(weight.z), value, added[2]);
        added[3] = fma(vec4f(weight.w), value, added[3]);
      }
      for (var k = 0u; k < 4u; k++) {
        let i = 4u * piece + k;
        splitValues[i] = mergedValues(splitValues[i], added[k], lineShares[4u * four + k]);
      }
    }
    let isLast = tile == lastTile;
    if (isLast || tile % TILES == TILES - 1u) {
      endSplit(run, tile / TILES == firstTile / TILES, isLast, firstHead, thread);
    }
  }
}
