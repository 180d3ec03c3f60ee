// Merges the splits of each row and head, from first to last, as `attention.wgsl` does on its way.
//
// partials  f32 [token rows, heads, splits, 2 + HEAD_DIM]
// out       f32 [token rows, outStride]
//
// One workgroup for each head of each row; follows `attention-group.wgsl`. Bound by memory.

@group(0) @binding(2) var<storage, read> partials: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let row = index / params.heads;
  let head = index % params.heads;
  if (row >= rowsOf(0u)) {
    return;
  }
  let splits = step[7];
  let position = positionOf(row);
  for (var column = thread; column < HEAD_DIM; column += THREADS) {
    var greatest = LOWEST;
    var total = 0.0;
    var value = 0.0;
    for (var split = firstVisible(position) / SPLIT; split <= position / SPLIT; split++) {
      let at = (index * splits + split) * (HEAD_DIM + 2u);
      let most = max(greatest, partials[at]);
      let before = exp(greatest - most);
      let after = exp(partials[at] - most);
      greatest = most;
      total = fma(total, before, partials[at + 1u] * after);
      value = fma(value, before, partials[at + 2u + column] * after);
    }
    out[row * params.outStride + head * HEAD_DIM + column] = value / total;
  }
}
