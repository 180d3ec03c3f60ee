// linear for a few rows of x (decode): each weight is read once for ROWS rows.
//
// A workgroup takes THREADS / segments weight rows and ROWS rows of x. Thread t computes segment t mod segments of one
// weight row, so that neighbouring threads read neighbouring blocks; then one thread a result adds up the segments.
// Follows `linear-group.wgsl` and a `product-*.wgsl`. Bound by memory: the weights.

const THREADS: u32 = 128u;
const ROWS: u32 = 1u;

// [ROWS, THREADS]
var<workgroup> sums: array<f32, ROWS * THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let outs = THREADS / params.segments;
  let firstOut = workgroupIndex(id, count) * outs;
  if (firstOut >= params.outs) {
    return;
  }
  let firstRow = id.z * ROWS;
  let lastRow = rowsOf(params.domain) - 1u;
  // Rows and outputs beyond the end repeat the last one, and are not stored.
  let o = min(firstOut + thread / params.segments, params.outs - 1u);
  let base = (params.firstRow + o) * params.vectors;
  var partial = array<f32, ROWS>();
  for (var block = thread % params.segments; block < params.blocks; block += params.segments) {
    let loaded = loadBlock(base, block);
    for (var r = 0u; r < ROWS; r++) {
      partial[r] = addBlock(loaded, min(firstRow + r, lastRow), block, partial[r]);
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    sums[r * THREADS + thread] = partial[r];
  }
  workgroupBarrier();
  for (var i = thread; i < ROWS * outs; i += THREADS) {
    let r = i / outs;
    var total = 0.0;
    for (var s = 0u; s < params.segments; s++) {
      total += sums[r * THREADS + i % outs * params.segments + s];
    }
    store(firstRow + r, firstOut + i % outs, total);
  }
}
