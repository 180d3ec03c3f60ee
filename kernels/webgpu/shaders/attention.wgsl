// softmax(scale · q·Kᵀ) · V over paged keys and values, causal, optionally windowed; every split of a row in one workgroup.
//
// out  f32 [token rows, outStride]
//
// One workgroup for each group of heads of each row; it walks the splits and merges as it goes. For many rows, or contexts
// of one split. Follows `attention-scores.wgsl`. Bound by memory for one row, by arithmetic for a prompt.

@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// [GROUP, HEAD_DIM]: o of the splits so far.
var<workgroup> running: array<f32, GROUP * HEAD_DIM>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let perRow = params.kvHeads * params.groups;
  let row = index / perRow;
  if (row >= rowsOf(0u)) {
    return;
  }
  let kvHead = index % perRow / params.groups;
  let firstHead = index % perRow * GROUP;
  let slot = slotOf(row);
  let position = positionOf(row);
  loadQuery(row, firstHead, thread);
  for (var i = thread; i < GROUP * HEAD_DIM; i += THREADS) {
    running[i] = 0.0;
  }
  workgroupBarrier();

  var runningMax = array<f32, GROUP>();
  var runningTotal = array<f32, GROUP>();
  for (var g = 0u; g < GROUP; g++) {
    runningMax[g] = LOWEST;
  }
  for (var first = firstVisible(position); first <= position; first = (first / SPLIT + 1u) * SPLIT) {
    let last = min(position, first / SPLIT * SPLIT + SPLIT - 1u);
    weigh(slot, kvHead, first, last, thread);
    var before = array<f32, GROUP>();
    var after = array<f32, GROUP>();
    for (var g = 0u; g < GROUP; g++) {
      let most = max(runningMax[g], greatest[g]);
      before[g] = exp(runningMax[g] - most);
      after[g] = exp(greatest[g] - most);
      runningMax[g] = most;
      runningTotal[g] = fma(runningTotal[g], before[g], total[g] * after[g]);
    }
    for (var column = thread; column < HEAD_DIM; column += THREADS) {
      var sums = weighedValues(slot, kvHead, first, last, column);
      for (var g = 0u; g < GROUP; g++) {
        let at = g * HEAD_DIM + column;
        running[at] = fma(running[at], before[g], sums[g] * after[g]);
      }
    }
    // The next split overwrites the weights.
    workgroupBarrier();
  }

  for (var column = thread; column < HEAD_DIM; column += THREADS) {
    for (var g = 0u; g < GROUP; g++) {
      out[row * params.outStride + (firstHead + g) * HEAD_DIM + column] =
        running[g * HEAD_DIM + column] / runningTotal[g];
    }
  }
}
