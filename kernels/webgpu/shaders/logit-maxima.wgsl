// First pass of `reduceLogits`: the greatest logit of each word of 32 that count, and whether all of a row are finite.
// One thread a word. Follows `logit-row.wgsl`. Bound by memory: the row is read once.

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = id.z;
  let group = workgroupIndex(id, count);
  let word = group * THREADS + thread;
  if (row >= rowsOf(1u) || requests[row * params.requestStride] == 0u || word >= params.words) {
    return;
  }
  let mask = maskOf(row, word);
  var most = 0u;
  var seen = 0u;
  for (var i = 0u; i < min(32u, params.cols - 32u * word); i++) {
    let bits = bitsOf(row, 32u * word + i);
    let magnitude = bits & 0x7fffffffu;
    let key = keyOf(bits);
    // 1: a NaN or +∞; 2: a number.
    seen |= select(2u, select(0u, 1u, magnitude > 0x7f800000u || bits == 0x7f800000u), magnitude >= 0x7f800000u);
    let counts = ((mask >> i) & 1u) == 1u && key >= LOWEST_KEY;
    most = max(most, select(0u, key, counts));
  }
  maxima[row * params.words + word] = most;
  atomicOr(&found[row * params.foundStride], seen);
  atomicMax(&found[row * params.foundStride + 1u], most);
}
