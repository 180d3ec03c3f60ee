// Experts' matrices and gated activation for a few routes (decode): activated[p] = act(gate(x[p])) · up(x[p]).
//
// A workgroup takes 32 columns of one route's result, so 64 weight rows; thread t computes segment t mod SEGMENTS of PAIRS
// gate rows and as many up rows. The same bits as `expert-rows.wgsl` and then `gated-activation-rows.wgsl` give. Follows
// `expert-fused.wgsl`, a `product-*.wgsl`, `activate.wgsl` and a `keep-*.wgsl`. Bound by memory: the chosen experts' weights.

const THREADS: u32 = 256u;
const SEGMENTS: u32 = 32u;
// Of a row; 0 where `params` tells.
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
