// Third pass of `reduceLogits`: lists the logits that reach the threshold, in any order, adds up the exponentials, and looks
// up the picks. One thread a word; a word's terms are added in order, then a workgroup's words, and the host adds up the
// workgroups. Follows `logit-row.wgsl` and `sum-threads.wgsl`. Bound by memory without a sum, by arithmetic with one.

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = id.z;
  let group = workgroupIndex(id, count);
  let request = row * params.requestStride;
  let result = row * params.foundStride;
  if (row >= rowsOf(1u) || requests[request] == 0u || group >= params.sums) {
    return;
  }
  let threshold = atomicLoad(&found[result + 2u]);
  let greatest = floatOf(atomicLoad(&found[result + 1u]));
  let scale = bitcast<f32>(requests[request + 1u]);
  let word = group * THREADS + thread;
  var sum = 0.0;
  if (word < params.words) {
    let most = maxima[row * params.words + word];
    let isListed = most >= threshold;
    if (most != 0u && (isListed || scale > 0.0)) {
      let mask = maskOf(row, word);
      for (var i = 0u; i < min(32u, params.cols - 32u * word); i++) {
        let bits = bitsOf(row, 32u * word + i);
        let key = keyOf(bits);
        if (((mask >> i) & 1u) == 1u && key >= LOWEST_KEY) {
          if (scale > 0.0) {
            sum += exp(max((bitcast<f32>(bits) - greatest) * scale, -80.0));
          }
          if (key >= threshold) {
            let place = atomicAdd(&found[result + 3u], 1u);
            if (place < CAPACITY) {
              let pair = result + 8u + params.sums + 2u * place;
              atomicStore(&found[pair], 32u * word + i);
              atomicStore(&found[pair + 1u], bits);
            }
          }
        }
      }
    }
  }
  let total = sumOfThreads(sum, thread);
  if (thread == 0u) {
    atomicStore(&found[result + 8u + group], bitcast<u32>(total));
  }
  let picks = requests[request + 2u];
  for (var i = group * THREADS + thread; i < picks; i += params.sums * THREADS) {
    let pick = requests[request + 4u + params.words + i];
    atomicStore(&found[result + 8u + params.sums + 2u * CAPACITY + i], bitsOf(row, pick));
  }
}
