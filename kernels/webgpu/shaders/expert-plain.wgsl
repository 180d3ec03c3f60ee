// Experts' matrices in the plainest form: one thread a result, segments walked one after the other.
// Follows `expert-group.wgsl` and a `product-*.wgsl`.

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = workgroupIndex(id, count) * THREADS + thread;
  let route = id.z;
  if (o >= params.expertRows || route >= rowsOf(params.domain)) {
    return;
  }
  let base = baseOf(weightRow(route, o));
  var total = 0.0;
  for (var segment = 0u; segment < params.segments; segment++) {
    var sum = 0.0;
    for (var block = segment; block < params.blocks; block += params.segments) {
      sum = addBlock(loadBlock(base, block, params.blocks), loadRow(route / params.sharing, block, params.blocks), sum);
    }
    total += sum;
  }
  store(route, o, total);
}
