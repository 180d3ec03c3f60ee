// linear in its plainest form: one thread a result, segments walked one after the other. The same bits as the other two,
// without workgroup memory or barriers: what a CPU that plays GPU is fastest with, and what runs where the others do not.
// Follows `linear-group.wgsl` and a `product-*.wgsl`. Weights are read once for each row of x.

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let o = workgroupIndex(id, count) * THREADS + thread;
  let row = id.z;
  if (o >= params.outs || row >= rowsOf(params.domain)) {
    return;
  }
  let base = (params.firstRow + o) * params.vectors;
  var total = 0.0;
  for (var segment = 0u; segment < params.segments; segment++) {
    var sum = 0.0;
    for (var block = segment; block < params.blocks; block += params.segments) {
      sum = addBlock(loadBlock(base, block, params.blocks), loadRow(row, block, params.blocks), sum);
    }
    total += sum;
  }
  store(row, o, total);
}
