// The PER_TOKEN greatest scores of each row in order, of equals the first, and their shares of the softmax.
//
// scores   f32 [token rows, stride]
// chosen   u32 [token rows, PER_TOKEN]
// weights  f32 [token rows, PER_TOKEN]
//
// One workgroup a row; thread t takes experts t, t + THREADS, … and counts for each how many come before it, which is its
// place: no expert waits for another. Sums over all experts are those of `sum-threads.wgsl`, which it follows. Places that no
// number takes have expert 0. Bound by the comparisons of a thread.

struct Params {
  experts: u32,
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
// Routes of a row.
const PER_TOKEN: u32 = 1u;
const LOWEST: f32 = -3.0e38;

// In order.
var<workgroup> bestScores: array<f32, PER_TOKEN>;
var<workgroup> bestExperts: array<u32, PER_TOKEN>;
// The greatest score of each group.
var<workgroup> groupScores: array<f32, 32>;

// A bit for each eligible group; all threads call it together.
fn eligibleGroups(at: u32, thread: u32) -> u32 {
  if (params.groups == 1u) {
    return 1u;
  }
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

// How many of the eligible experts come before expert i.
fn placeOf(i: u32, at: u32, eligible: u32) -> u32 {
  let score = scores[at + i];
  let perGroup = params.experts / params.groups;
  var place = 0u;
  for (var g = 0u; g < params.groups; g++) {
    if (((eligible >> g) & 1u) == 1u) {
      for (var j = g * perGroup; j < (g + 1u) * perGroup; j++) {
        let other = scores[at + j];
        place += select(0u, 1u, other > score || (other == score && j < i));
      }
    }
  }
  return place;
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
  let to = row * PER_TOKEN;
  let eligible = eligibleGroups(at, thread);
  for (var i = thread; i < PER_TOKEN; i += THREADS) {
    bestScores[i] = LOWEST;
    bestExperts[i] = 0u;
  }
  workgroupBarrier();
  let perGroup = params.experts / params.groups;
  for (var i = thread; i < params.experts; i += THREADS) {
    let score = scores[at + i];
    if (((eligible >> (i / perGroup)) & 1u) == 1u && score > LOWEST) {
      let place = placeOf(i, at, eligible);
      if (place < PER_TOKEN) {
        bestScores[place] = score;
        bestExperts[place] = i;
      }
    }
  }
  workgroupBarrier();
  let first = bestScores[0];
  var total = 0.0;
  if (params.normalize == 1u) {
    for (var i = 0u; i < PER_TOKEN; i++) {
      total += powerOf(bestScores[i], first);
    }
  } else {
    for (var i = thread; i < params.experts; i += THREADS) {
      total += powerOf(scores[at + i], first);
    }
    total = sumOfThreads(total, thread);
  }
  for (var i = thread; i < PER_TOKEN; i += THREADS) {
    chosen[to + i] = bestExperts[i];
    weights[to + i] = powerOf(bestScores[i], first) / total * params.scale;
  }
}

fn powerOf(score: f32, first: f32) -> f32 {
  return exp(max(score - first, -80.0));
}
