// linear for a few rows of x (decode) whose outputs are the q, k and v heads, rotated and written to the cache at once:
// what `linear-few-rows.wgsl` and then `rope-and-cache.wgsl` do, to the bit, where heads are not normed and rotate whole.
//
// out     f32 [rows, outStride]: q rotated, k and v as they are
// rope    f32 [positions, HEAD_DIM]: cosines, then sines
// keys, values  as in `rope-and-cache.wgsl`
//
// A pair is elements i and i + HEAD_DIM / 2 of a head, which turn together. A workgroup takes TEAMS · PAIRS of them, so twice
// as many weight rows, and ROWS rows of x; thread t computes segment t mod SEGMENTS of both rows of PAIRS pairs.
// Follows `linear-group.wgsl` and a `product-*.wgsl`. Bound by memory: the weights.

@group(0) @binding(3) var<storage, read> rope: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys: array<f32>;
@group(0) @binding(8) var<storage, read_write> values: array<f32>;

const THREADS: u32 = 128u;
const ROWS: u32 = 1u;
const PAIRS: u32 = 2u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where `params` tells.
const BLOCKS: u32 = 0u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 64u;
const HALF: u32 = HEAD_DIM / 2u;
const TEAMS: u32 = THREADS / SEGMENTS;
// Twice that.
const OUTS: u32 = 4u;
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, first and second of a pair, PAIRS], of segments each; of one row of x.
var<workgroup> sums: array<f32, TEAMS * OUTS * PITCH>;
var<workgroup> totals: array<f32, TEAMS * OUTS>;

// The weight row of a pair's first element.
fn firstOf(pair: u32) -> u32 {
  return pair / HALF * HEAD_DIM + pair % HALF;
}

fn storePair(row: u32, pair: u32, a: f32, b: f32) {
  let head = pair / HALF;
  let i = pair % HALF;
  let at = ropeRowOf(row) * HEAD_DIM + i;
  let turnedA = fma(a, rope[at], -(b * rope[at + HALF]));
  let turnedB = fma(b, rope[at], a * rope[at + HALF]);
  let isQuery = head < HEADS;
  let o = row * params.outStride + firstOf(pair);
  out[o] = select(a, turnedA, isQuery);
  out[o + HALF] = select(b, turnedB, isQuery);
  if (isQuery) {
    return;
  }
  let position = positionOf(row);
  let kvHead = (head - HEADS) % KV_HEADS;
  let page = blockOf(slotOf(row), position / 16u) * KV_HEADS + kvHead;
  let inPage = position % 16u;
  if (head < HEADS + KV_HEADS) {
    keys[((page * (HEAD_DIM / 4u) + i / 4u) * 16u + inPage) * 4u + i % 4u] = turnedA;
    keys[((page * (HEAD_DIM / 4u) + (i + HALF) / 4u) * 16u + inPage) * 4u + (i + HALF) % 4u] = turnedB;
  } else {
    values[(page * 16u + inPage) * HEAD_DIM + i] = a;
    values[(page * 16u + inPage) * HEAD_DIM + i + HALF] = b;
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let pairs = (HEADS + 2u * KV_HEADS) * HALF;
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
  let base$j = (params.firstRow + firstOf(pair$j) + $ju / PAIRS * HALF) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var first = segment; first < blocks; first += SEGMENTS * STEPS) {
    // Beyond the end the last block is loaded again, and not used.
    //# for s in STEPS
    let block$s = first + $su * SEGMENTS;
    //# for j in OUTS
    let loaded$s_$j = loadBlock(base$j, min(block$s, blocks - 1u), blocks);
    //# end
    //# end
    //# for s in STEPS
    if (block$s < blocks) {
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
    for (var i = thread; i < TEAMS * PAIRS; i += THREADS) {
      let at = i / PAIRS * OUTS + i % PAIRS;
      if (firstPair + i < pairs) {
        storePair(r, firstPair + i, totals[at], totals[at + PAIRS]);
      }
    }
  }
}
