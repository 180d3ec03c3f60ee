// Experts' matrices for many routes (prompts) by matrix units: a workgroup takes TILE_OUTS outputs of one expert, for all routes
// that go there, a tile of `matrix-tile.wgsl` of them at a time. Follows that and `expert-list.wgsl`.

var<private> expert: u32;

// Routes and outputs beyond the end repeat the last one, and are not stored.
fn xRow(at: u32) -> u32 {
  return list[min(at, found - 1u)] / params.sharing;
}

fn weightBase(o: u32) -> u32 {
  return baseOf(rowOfExpert(expert, o));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) subgroupThreads: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  if (firstOut >= params.expertRows) {
    return;
  }
  expert = id.z;
  for (var start = 0u; start < rowsOf(params.domain); start += LIST) {
    let routes = note(start, id.z, thread);
    for (var first = 0u; first < routes; first += TILE_ROWS) {
      let results = tileResults(first, routes - first, firstOut, thread, subgroupThreads);
      for (var i = 0u; i < ROWS; i++) {
        let at = first + rowInTile(thread) + i * ROW_STEP;
        if (at < routes) {
          for (var j = 0u; j < 4u; j++) {
            store(list[at], firstOut + 4u * quadInTile(thread) + j, results[i][j]);
          }
        }
      }
      workgroupBarrier();
    }
  }
}
