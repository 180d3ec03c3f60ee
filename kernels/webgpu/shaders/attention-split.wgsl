// One split of one row's attention, for few rows with long contexts: the splits of a row run side by side.
//
// partials  vec4 [lone rows, heads, splits, 1 + FOURS]: m and l of each split, then o; see `attention-group.wgsl`
//
// One workgroup for each split of each group of heads of each row. Follows `attention-chunk.wgsl`; `attention-merge.wgsl`
// merges. Bound by memory: keys and values are read once for all heads of a group.

@group(0) @binding(7) var<storage, read_write> partials: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let splits = attendedSplits();
  let split = index % splits;
  let perRow = params.kvHeads * params.groups;
  let lone = index / splits / perRow;
  if (lone >= attendedRows()) {
    return;
  }
  let row = attendedRow(lone);
  let kvHead = index / splits % perRow / params.groups;
  let firstHead = index / splits % perRow * GROUP;
  let position = positionOf(row);
  let first = max(firstVisible(position), split * SPLIT);
  let last = min(position, split * SPLIT + SPLIT - 1u);
  if (first > last) {
    return;
  }
  loadQuery(row, firstHead, thread);
  attend(slotOf(row), kvHead, first, last, thread);
  for (var g = 0u; g < GROUP; g++) {
    showTiles(g, thread);
    let at = ((lone * params.heads + firstHead + g) * splits + split) * (FOURS + 1u);
    for (var four = thread; four < FOURS; four += THREADS) {
      let result = mergedTiles(g, four);
      partials[at + 1u + four] = result.value;
      if (four == 0u) {
        partials[at] = vec4f(result.weights.most, result.weights.total, 0.0, 0.0);
      }
    }
  }
}
