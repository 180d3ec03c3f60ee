// The perToken greatest scores of each row in order, of equals the first, and their shares of the softmax.
//
// scores   f32 [token rows, stride]
// chosen   u32 [token rows, perToken]
// weights  f32 [token rows, perToken]
//
// One workgroup a row; thread t looks at experts t, t + THREADS, …, and the threads' finds are compared as a binary tree,
// whose result does not depend on its order; sums over all experts have an order fixed by the shape. A row of NaN goes to
// expert 0 again and again. Bound by the barriers of perToken rounds.

struct Params {
  experts: u32,
  perToken: u32,
  stride: u32,
  normalize: u32,
  scale: f32,
  // Equal runs of experts, at most 32, of which `chosenGroups` with the greatest scores are eligible.
  groups: u32,
  chosenGroups: u32,
}

@group(0) @binding(2) var<storage, read> scores: array<f32>;
@group(0) @binding(3) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;

const THREADS: u32 = 64u;
const LOWEST: f32 = -3.0e38;

var<workgroup> values: array<f32, THREADS>;
var<workgroup> indices: array<u32, THREADS>;
// The greatest score of each group.
var<workgroup> groupScores: array<f32, 32>;

// A bit for each eligible group; all threads call it together.
fn eligibleGroups(at: u32, thread: u32) -> u32 {
  let perGroup = params.experts / params.groups;
  for (var g = thread; g < params.groups; g += THREADS) {
    var most = LOWEST;
    for (var i = g * perGroup; i < (g + 1u) * perGroup; i++) {
      most = max(most, scores[at + i]);
    }
    groupScores[g] = most;
  }
  workgroupBarrier();
  var eligible = 0u;
  for (var round = 0u; round < params.chosenGroups; round++) {
    var best = 0u;
    var most = -3.4e38;
    for (var g = 0u; g < params.groups; g++) {
      if (((eligible >> g) & 1u) == 0u && groupScores[g] > most) {
        most = groupScores[g];
        best = g;
      }
    }
    eligible |= 1u << best;
  }
  return eligible;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  if (row >= rowsOf(0u)) {
    return;
  }
  let at = row * params.stride;
  let to = row * params.perToken;
  let eligible = eligibleGroups(at, thread);
  let perGroup = params.experts / params.groups;
  var bound = 0.0;
  var last = 0u;
  var first = 0.0;
  var total = 0.0;
  for (var round = 0u; round < params.perToken; round++) {
    var best = LOWEST;
    var index = 0u;
    for (var i = thread; i < params.experts; i += THREADS) {
      let score = scores[at + i];
      let isEligible = ((eligible >> (i / perGroup)) & 1u) == 1u;
      let isNext = isEligible && (round == 0u || score < bound || (score == bound && i > last));
      if (isNext && score > best) {
        best = score;
        index = i;
      }
    }
    values[thread] = best;
    indices[thread] = index;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
      if (thread < half) {
        let other = thread + half;
        let isBetter = values[other] > values[thread]
          || (values[other] == values[thread] && indices[other] < indices[thread]);
        if (isBetter) {
          values[thread] = values[other];
          indices[thread] = indices[other];
        }
      }
      workgroupBarrier();
    }
    bound = values[0];
    last = indices[0];
    workgroupBarrier();
    if (round == 0u) {
      first = bound;
    }
    let power = exp(max(bound - first, -80.0));
    total += power;
    if (thread == 0u) {
      chosen[to + round] = last;
      weights[to + round] = power;
    }
  }
  if (params.normalize == 0u) {
    var sum = 0.0;
    for (var i = thread; i < params.experts; i += THREADS) {
      sum += exp(max(scores[at + i] - first, -80.0));
    }
    values[thread] = sum;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
      if (thread < half) {
        values[thread] += values[thread + half];
      }
      workgroupBarrier();
    }
    total = values[0];
  }
  if (thread == 0u) {
    for (var round = 0u; round < params.perToken; round++) {
      weights[to + round] = weights[to + round] / total * params.scale;
    }
  }
}
