// Second pass of `reduceLogits`: a threshold that at least `top` words' maxima reach, so that at least as many logits do; all
// that are greater than the top-th largest logit are among them. Found digit by digit, 8 bits at a time.
// One workgroup a row. Follows `logit-row.wgsl`. Bound by the time that a workgroup takes.

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> digit: u32;
var<workgroup> wanted: u32;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = id.z;
  if (row >= rowsOf(1u) || requests[row * params.requestStride] == 0u) {
    return;
  }
  let at = row * params.words;
  if (thread == 0u) {
    wanted = requests[row * params.requestStride];
  }
  var prefix = 0u;
  for (var shift = 24u; shift < 32u; shift -= 8u) {
    if (thread < 256u) {
      atomicStore(&counts[thread], 0u);
    }
    workgroupBarrier();
    for (var word = thread; word < params.words; word += THREADS) {
      let key = maxima[at + word];
      if (shift == 24u || (key >> (shift + 8u)) == (prefix >> (shift + 8u))) {
        atomicAdd(&counts[(key >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
    if (thread == 0u) {
      var value = 255u;
      var left = wanted;
      for (; value > 0u; value--) {
        let count = atomicLoad(&counts[value]);
        if (count >= left) {
          break;
        }
        left -= count;
      }
      digit = value;
      wanted = left;
    }
    prefix |= workgroupUniformLoad(&digit) << shift;
  }
  if (thread == 0u) {
    let found0 = row * params.foundStride;
    // Fewer words than are wanted have a logit that counts: then all logits that count reach the threshold.
    let threshold = max(prefix, LOWEST_KEY);
    atomicStore(&found[found0 + 2u], threshold);
    atomicStore(&found[found0 + 4u], select(0u, 1u, threshold == LOWEST_KEY));
  }
}
