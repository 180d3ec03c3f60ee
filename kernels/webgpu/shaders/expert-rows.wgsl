// Experts' matrices, one row at a time: a workgroup takes OUTS · THREADS / SEGMENTS outputs of one route. Thread t computes
// segment t mod SEGMENTS of OUTS weight rows; then one thread a result adds up the segments. The same bits as
// `expert-plain.wgsl`. Follows `expert-group.wgsl` and a `product-*.wgsl`. Bound by memory: the chosen experts' weights.

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
