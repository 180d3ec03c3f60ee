// linear for a few rows of x (decode) whose outputs are the q, k and v heads, and what becomes of whole heads: the norm, the
// rotation, and bytes in the cache with a scale of their own. What `linear-few-rows.wgsl` and then `rope-and-cache.wgsl` do,
// to the bit.
//
// exchange  the rows of the result as words: q rotated, k and v as they are; from HANDOVER on, places for what
//           workgroups hand over, [rows, outStride], and from there on counts of them, [heads]
// bias      f32 [outs], as vectors
// qNorm, kNorm  f32 [HEAD_DIM], as vectors
//
// A head is PARTS workgroups, of OUTS · THREADS / SEGMENTS weight rows and ROWS rows of x each; thread t computes segment
// t mod SEGMENTS of OUTS weight rows. The last one that is done ends the head. Follows `linear-group.wgsl`, a `product-*.wgsl`
// and `last-group.wgsl`; `head-end.wgsl` and a `store-*.wgsl` follow. Bound by memory: the weights.

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
// Of a row; 0 where `params` tells.
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
