// linear for a few rows of x (decode), its sum with the residual stream, and the norm of that: what `linear-few-rows.wgsl` and
// then `norm-rows.wgsl` do, to the bit.
//
// exchange   the rows of the linear's result as words; from HANDOVER on, places for what workgroups hand over,
//            [rows, outStride], and then one count
// residual   f32 [rows, outStride], as vectors: the result is added to it
// normWeight f32 [outs], as vectors
//
// A workgroup takes OUTS · THREADS / SEGMENTS weight rows and ROWS rows of x; thread t computes segment t mod SEGMENTS of OUTS
// weight rows. The last one that is done takes the rows' columns 4t … 4t+3, 4(t + THREADS), …, so THREADS are those of the norm.
// Follows `linear-group.wgsl`, a `product-*.wgsl`, `last-group.wgsl`, `sum-threads.wgsl` and a `norm-end-*.wgsl`. Bound by memory:
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
// Of a row; 0 where `params` tells.
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
