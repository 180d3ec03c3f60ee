// Attention of up to 32 rows that follow one another in one sequence (prompts): they share what they read of the cache.
//
// qkv  f32 [token rows, stride], the query heads first, as vectors
// out  f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// A workgroup takes a run of rows (`runRow`) and GROUP heads, 32 · GROUP lines, and walks the tiles of 32 positions that any
// of them sees. Keys, queries and values come to workgroup memory 32 columns at a time, each while the products of those
// before are made; the longest runs begin first. A thread computes 4 lines × 4 positions of the scores, then 4 lines × 4
// columns of the values, and keeps o of the split for its lines; what earlier splits came to waits in `out`. In the order of
// `attention-group.wgsl`, which it follows with a `cache-*.wgsl`, `attention-end.wgsl` and `quantize-four.wgsl`.
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

// Scores of the thread's 4 lines and 4 positions become weights in `lineTile`; `tileLines` and `lineShares` follow.
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

// Merges the split into what came before it, in `out`; the last one leaves the result.
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
