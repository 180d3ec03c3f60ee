// linear and gated activation for a few rows of x (decode): out = x · weightᵀ, of which the first half of the columns is the
// gate and the second the up part, and activated = act(gate) · up, with QUANTIZE in 8 bits too.
//
// out        f32 [rows, outStride]
// activated  f32 [rows, outs / 2], as vectors
//
// A workgroup takes 32 columns of `activated`, so 64 weight rows, and ROWS rows of x; thread t computes segment
// t mod SEGMENTS of PAIRS gate rows and as many up rows. The sums are those of `linear-few-rows.wgsl`, in the same order.
// Follows `linear-group.wgsl`, a `product-*.wgsl`, `activate.wgsl` and `quantize-four.wgsl`. Bound by memory: the weights.

@group(0) @binding(3) var<storage, read_write> activated: array<vec4f>;

const THREADS: u32 = 256u;
const ROWS: u32 = 1u;
const SEGMENTS: u32 = 32u;
// Of a row; 0 where `params` tells.
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
