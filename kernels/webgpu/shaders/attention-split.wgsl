// One split of one row's attention, for few rows with long contexts: the splits of a row run side by side.
//
// partials  f32 [token rows, heads, splits, 2 + HEAD_DIM]: m, l and o of each split, see `attention-group.wgsl`
//
// One workgroup for each split of each group of heads of each row. Follows `attention-scores.wgsl`; `attention-merge.wgsl`
// merges. Bound by memory: keys and values are read once for all heads of a group.

@group(0) @binding(5) var<storage, read_write> partials: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let splits = step[7];
  let split = index % splits;
  let perRow = params.kvHeads * params.groups;
  let row = index / splits / perRow;
  if (row >= rowsOf(0u)) {
    return;
  }
  let kvHead = index / splits % perRow / params.groups;
  let firstHead = index / splits % perRow * GROUP;
  let slot = slotOf(row);
  let position = positionOf(row);
  let first = max(firstVisible(position), split * SPLIT);
  let last = min(position, split * SPLIT + SPLIT - 1u);
  if (first > last) {
    return;
  }
  loadQuery(row, firstHead, thread);
  weigh(slot, kvHead, first, last, thread);
  for (var g = 0u; g < GROUP; g++) {
    let at = ((row * params.heads + firstHead + g) * splits + split) * (HEAD_DIM + 2u);
    if (thread == 0u) {
      partials[at] = greatest[g];
      partials[at + 1u] = total[g];
    }
  }
  for (var column = thread; column < HEAD_DIM; column += THREADS) {
    var sums = weighedValues(slot, kvHead, first, last, column);
    for (var g = 0u; g < GROUP; g++) {
      let at = ((row * params.heads + firstHead + g) * splits + split) * (HEAD_DIM + 2u);
      partials[at + 2u + column] = sums[g];
    }
  }
}
