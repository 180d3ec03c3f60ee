// linear for a few rows of x (decode) whose outputs are the q, k and v heads, rotated and written to the cache at once:
// what `linear-few-rows.wgsl` and then `rope-and-cache.wgsl` do, to the bit, where heads are not normed.
//
// out     f32 [rows, outStride]: q rotated, k and v as they are
// rope    f32 [positions, ROTARY], as vectors: cosines, then sines
// bias    f32 [outs], as vectors
// keys, values  as in `rope-and-cache.wgsl`
//
// A workgroup computes couples: four neighbouring elements of a head and the four that they turn with, ROTARY / 2 further on
// (the next four where nothing turns). So one thread ends a couple, with whole words of a cache of any width. Couples are
// pairs of elements to the sums: a workgroup takes TEAMS · PAIRS of those, a multiple of four, so twice as many weight rows,
// and ROWS rows of x; thread t computes segment t mod SEGMENTS of both rows of PAIRS pairs.
// Follows `linear-group.wgsl`, a `product-*.wgsl` and a `store-*.wgsl`. Bound by memory: the weights.

@group(0) @binding(3) var<storage, read> rope: array<vec4f>;
@group(0) @binding(9) var<uniform> headBias: array<vec4f, BIAS_FOURS>;

const THREADS: u32 = 128u;
const ROWS: u32 = 1u;
const PAIRS: u32 = 2u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where `params` tells.
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
