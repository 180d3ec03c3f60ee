// Second pass of `reduceLogits`: a threshold that at least `top` words' maxima reach, so that at least as many logits do; all
// that are greater than the top-th largest logit are among them. The greatest is known where no more are asked for; else it is
// found digit by digit, 8 bits at a time: each thread counts for one value, and a team of them for 16.
// One workgroup a row. Follows `logit-row.wgsl`. Bound by the time that a workgroup takes.

const TEAM: u32 = 16u;

var<workgroup> counts: array<atomic<u32>, 256>;
var<workgroup> teamCounts: array<u32, 16>;
// The digit in the top 8 bits, and how many are wanted of those that have it.
var<workgroup> chosen: u32;

fn store(row: u32, key: u32) {
  let found0 = row * params.foundStride;
  // Fewer words than are wanted have a logit that counts: then all logits that count reach the threshold.
  let threshold = max(key, LOWEST_KEY);
  atomicStore(&found[found0 + 2u], threshold);
  atomicStore(&found[found0 + 4u], select(0u, 1u, threshold == LOWEST_KEY));
}

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
  var wanted = requests[row * params.requestStride];
  if (wanted == 1u) {
    if (thread == 0u) {
      store(row, atomicLoad(&found[row * params.foundStride + 1u]));
    }
    return;
  }
  var prefix = 0u;
  for (var shift = 24u; shift < 32u; shift -= 8u) {
    atomicStore(&counts[thread], 0u);
    workgroupBarrier();
    for (var word = thread; word < params.words; word += THREADS) {
      let key = maxima[at + word];
      if (shift == 24u || (key >> (shift + 8u)) == (prefix >> (shift + 8u))) {
        atomicAdd(&counts[(key >> shift) & 255u], 1u);
      }
    }
    workgroupBarrier();
    if (thread < TEAM) {
      var sum = 0u;
      for (var i = 0u; i < TEAM; i++) {
        sum += atomicLoad(&counts[thread * TEAM + i]);
      }
      teamCounts[thread] = sum;
    }
    workgroupBarrier();
    var above = 0u;
    for (var team = thread / TEAM + 1u; team < TEAM; team++) {
      above += teamCounts[team];
    }
    for (var value = thread + 1u; value % TEAM != 0u; value++) {
      above += atomicLoad(&counts[value]);
    }
    // The lowest value is chosen where all together are too few.
    if (above < wanted && (above + atomicLoad(&counts[thread]) >= wanted || thread == 0u)) {
      chosen = (thread << 24u) | (wanted - above);
    }
    let digit = workgroupUniformLoad(&chosen);
    prefix |= (digit >> 24u) << shift;
    wanted = digit & 0xffffffu;
  }
  if (thread == 0u) {
    store(row, prefix);
  }
}
