// softmax(scale · q·Kᵀ) · V over paged keys and values, causal, optionally windowed; all splits of a row in one workgroup.
//
// out  f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// For rows that stand alone in their sequence. One workgroup for each group of heads of each row; it walks the splits and
// merges as it goes. Follows `attention-chunk.wgsl`, `attention-end.wgsl` and `quantize-four.wgsl`. Bound by memory.

@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

// [GROUP, FOURS]: of the splits so far.
var<workgroup> running: array<Attended, GROUP * FOURS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let perRow = params.kvHeads * params.groups;
  if (index / perRow >= attendedRows()) {
    return;
  }
  let row = attendedRow(index / perRow);
  let kvHead = index % perRow / params.groups;
  let firstHead = index % perRow * GROUP;
  let slot = slotOf(row);
  let position = positionOf(row);
  loadQuery(row, firstHead, thread);
  for (var i = thread; i < GROUP * FOURS; i += THREADS) {
    running[i] = Attended(Weights(LOWEST, 0.0), vec4f(0.0));
  }
  for (var first = firstVisible(position); first <= position; first = (first / SPLIT + 1u) * SPLIT) {
    let last = min(position, first / SPLIT * SPLIT + SPLIT - 1u);
    attend(slot, kvHead, first, last, thread);
    for (var g = 0u; g < GROUP; g++) {
      showTiles(g, thread);
      for (var four = thread; four < FOURS; four += THREADS) {
        let before = running[g * FOURS + four];
        let added = mergedTiles(g, four);
        let shares = sharesOf(before.weights, added.weights);
        running[g * FOURS + four] = Attended(
          merged(before.weights, added.weights, shares),
          mergedValues(before.value, added.value, shares),
        );
      }
    }
    // The next split overwrites the weights.
    workgroupBarrier();
  }

  for (var g = 0u; g < GROUP; g++) {
    let at = row * (params.outStride / 4u) + (firstHead + g) * FOURS;
    for (var start = 0u; start < FOURS; start += THREADS) {
      let four = start + thread;
      var value = vec4f(0.0);
      if (four < FOURS) {
        let result = running[g * FOURS + four];
        value = finished(result.value, result.weights, firstHead + g);
        out[at + four] = value;
      }
      if (QUANTIZE) {
        maximaBarrier();
        noteFour(value, 0u, thread);
        maximaBarrier();
        if (four < FOURS) {
          storeCodes(value, at + four, 0u, thread);
        }
      }
    }
  }
}
