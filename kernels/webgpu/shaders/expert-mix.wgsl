// Experts' matrices for the few routes of each token (decode), and the sum of their results, each times its weight.
//
// routeWeights  f32 [tokens, ROUTES]
// out           f32 [tokens, outStride]
//
// A workgroup takes OUTS · THREADS / SEGMENTS outputs of a token. Thread t computes segment t mod SEGMENTS of OUTS outputs of
// all ROUTES experts; then one thread a sum adds up the segments, and one an output the experts' sums in order. The same
// bits as `expert-rows.wgsl` and then `mix-routes.wgsl` give. Follows `expert-fused.wgsl` and a `product-*.wgsl`. Bound by
// memory: the chosen experts' weights.

@group(0) @binding(7) var<storage, read_write> out: array<f32>;
@group(0) @binding(8) var<storage, read> routeWeights: array<f32>;

const THREADS: u32 = 128u;
const OUTS: u32 = 1u;
const ROUTES: u32 = 1u;
const SEGMENTS: u32 = 32u;
// Of a row; 0 where `params` tells.
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
