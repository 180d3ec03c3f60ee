// Sums and maxima over SPAN neighbouring threads, which share a subgroup: in pairs, pairs of pairs and so on. Each thread adds the same
// two numbers as its partner, so all have the same bits. SPAN is what every subgroup of the adapter has at least, up to 32
// and to THREADS: the subgroup of a kernel may be larger, and no bit depends on that. Source: WGSL, "Subgroup built-in functions".
enable subgroups;

const SPAN: u32 = 4u;

fn spanSum(value: f32) -> f32 {
  var sum = value;
  if (SPAN >= 2u) {
    sum += subgroupShuffleXor(sum, 1u);
  }
  if (SPAN >= 4u) {
    sum += subgroupShuffleXor(sum, 2u);
  }
  if (SPAN >= 8u) {
    sum += subgroupShuffleXor(sum, 4u);
  }
  if (SPAN >= 16u) {
    sum += subgroupShuffleXor(sum, 8u);
  }
  if (SPAN >= 32u) {
    sum += subgroupShuffleXor(sum, 16u);
  }
  return sum;
}

fn spanMax(value: f32) -> f32 {
  var most = value;
  for (var distance = 1u; distance < SPAN; distance *= 2u) {
    most = max(most, subgroupShuffleXor(most, distance));
  }
  return most;
}
