// Merges the splits of each lone row and head, from first to last, as `attention.wgsl` does on its way.
//
// partials  vec4 [lone rows, heads, splits, 1 + FOURS]
// out       f32 [token rows, outStride], as vectors, and with QUANTIZE its 8-bit form
//
// One workgroup for each head of each row; follows `attention-group.wgsl`, `attention-end.wgsl` and `quantize-four.wgsl`.
// Bound by memory.

@group(0) @binding(4) var<storage, read> partials: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count);
  let lone = index / params.heads;
  let head = index % params.heads;
  if (lone >= attendedRows()) {
    return;
  }
  let row = attendedRow(lone);
  let splits = attendedSplits();
  let position = positionOf(row);
  let at = row * (params.outStride / 4u) + head * FOURS;
  for (var start = 0u; start < FOURS; start += THREADS) {
    let four = start + thread;
    var value = vec4f(0.0);
    if (four < FOURS) {
      var weights = Weights(LOWEST, 0.0);
      for (var split = firstVisible(position) / SPLIT; split <= position / SPLIT; split++) {
        let begin = (index * splits + split) * (FOURS + 1u);
        let added = Weights(partials[begin].x, partials[begin].y);
        let shares = sharesOf(weights, added);
        value = mergedValues(value, partials[begin + 1u + four], shares);
        weights = merged(weights, added, shares);
      }
      value = finished(value, weights, head);
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
