// One split of a group: scores, weights and weighted values; follows `attention-group.wgsl`.
//
// qkv     f32 [token rows, stride], the query heads first
// keys    vec4 [blocks, kvHeads, HEAD_DIM/4, 16 positions]
// values  f32 [blocks, kvHeads, 16 positions, HEAD_DIM]
//
// A thread takes positions t, t + THREADS, … for the scores and columns t, t + THREADS, … for the values, so that each
// key and value is read once for all heads of the group. Sums over positions are a binary tree over the threads.

@group(0) @binding(2) var<storage, read> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> keys: array<vec4f>;
@group(0) @binding(4) var<storage, read> values: array<f32>;

// [GROUP, HEAD_DIM], times the scale.
var<workgroup> query: array<f32, GROUP * HEAD_DIM>;
// [GROUP, SPLIT]: scores, then weights.
var<workgroup> scores: array<f32, GROUP * SPLIT>;
// [GROUP, THREADS]
var<workgroup> reduced: array<f32, GROUP * THREADS>;

// Of the last split, for each head.
var<private> greatest: array<f32, GROUP>;
var<private> total: array<f32, GROUP>;

fn loadQuery(row: u32, firstHead: u32, thread: u32) {
  let at = row * params.stride + firstHead * HEAD_DIM;
  for (var i = thread; i < GROUP * HEAD_DIM; i += THREADS) {
    query[i] = qkv[at + i] * params.scale;
  }
  workgroupBarrier();
}

// Leaves the weights of positions `first` to `last`, all of one split, in `scores`.
fn weigh(slot: u32, kvHead: u32, first: u32, last: u32, thread: u32) {
  let start = first / SPLIT * SPLIT;
  // Of the thread's positions, those before `firstOffset` and after `lastOffset` cannot be visible.
  let firstOffset = (first - start) / THREADS * THREADS + thread;
  let lastOffset = last - start;
  for (var offset = firstOffset; offset <= lastOffset; offset += THREADS) {
    let p = start + offset;
    let visible = p >= first;
    var sums = array<f32, GROUP>();
    if (visible) {
      let page = blockOf(slot, p / 16u) * params.kvHeads + kvHead;
      let at = page * (HEAD_DIM / 4u) * 16u + p % 16u;
      for (var i = 0u; i < HEAD_DIM / 4u; i++) {
        let key = keys[at + 16u * i];
        for (var g = 0u; g < GROUP; g++) {
          let q = g * HEAD_DIM + 4u * i;
          sums[g] = fma(key.x, query[q], sums[g]);
          sums[g] = fma(key.y, query[q + 1u], sums[g]);
          sums[g] = fma(key.z, query[q + 2u], sums[g]);
          sums[g] = fma(key.w, query[q + 3u], sums[g]);
        }
      }
    }
    for (var g = 0u; g < GROUP; g++) {
      scores[g * SPLIT + offset] = select(LOWEST, sums[g], visible);
    }
  }

  for (var g = 0u; g < GROUP; g++) {
    var most = LOWEST;
    for (var offset = firstOffset; offset <= lastOffset; offset += THREADS) {
      most = max(most, scores[g * SPLIT + offset]);
    }
    reduced[g * THREADS + thread] = most;
  }
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      for (var g = 0u; g < GROUP; g++) {
        let at = g * THREADS + thread;
        reduced[at] = max(reduced[at], reduced[at + half]);
      }
    }
    workgroupBarrier();
  }
  for (var g = 0u; g < GROUP; g++) {
    greatest[g] = reduced[g * THREADS];
  }
  workgroupBarrier();

  for (var g = 0u; g < GROUP; g++) {
    var sum = 0.0;
    for (var offset = firstOffset; offset <= lastOffset; offset += THREADS) {
      let at = g * SPLIT + offset;
      let weight = select(0.0, exp(scores[at] - greatest[g]), start + offset >= first);
      scores[at] = weight;
      sum += weight;
    }
    reduced[g * THREADS + thread] = sum;
  }
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      for (var g = 0u; g < GROUP; g++) {
        let at = g * THREADS + thread;
        reduced[at] += reduced[at + half];
      }
    }
    workgroupBarrier();
  }
  for (var g = 0u; g < GROUP; g++) {
    total[g] = reduced[g * THREADS];
  }
}

// Σ weight · v over positions `first` to `last` of one column, for each head of the group, in order.
fn weighedValues(slot: u32, kvHead: u32, first: u32, last: u32, column: u32) -> array<f32, GROUP> {
  var sums = array<f32, GROUP>();
  var p = first;
  while (p <= last) {
    let page = blockOf(slot, p / 16u) * params.kvHeads + kvHead;
    let end = min(last, p | 15u);
    for (; p <= end; p++) {
      let value = values[(page * 16u + p % 16u) * HEAD_DIM + column];
      for (var g = 0u; g < GROUP; g++) {
        sums[g] = fma(scores[g * SPLIT + p % SPLIT], value, sums[g]);
      }
    }
  }
  return sums;
}
