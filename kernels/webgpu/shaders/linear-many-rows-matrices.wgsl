// linear for many rows of x (prompts) by matrix units, quantised weights and 8-bit activations: a tile of `matrix-tile.wgsl` a
// workgroup. Follows that, and `linear-group.wgsl`.

// Rows and outputs beyond the end repeat the last one, and are not stored.
fn xRow(row: u32) -> u32 {
  return min(row, rowsOf(params.domain) - 1u);
}

fn weightBase(o: u32) -> u32 {
  return (params.firstRow + min(o, params.outs - 1u)) * params.vectors;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_size) subgroupThreads: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  let firstRow = id.z * TILE_ROWS;
  let rows = rowsOf(params.domain);
  if (firstOut >= params.outs || firstRow >= rows) {
    return;
  }
  let results = tileResults(firstRow, rows - firstRow, firstOut, thread, subgroupThreads);
  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < 4u; j++) {
      store(firstRow + rowInTile(thread) + i * ROW_STEP, firstOut + 4u * quadInTile(thread) + j, results[i][j]);
    }
  }
}
