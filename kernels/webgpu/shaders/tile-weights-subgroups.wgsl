// What `tile-weights-plain.wgsl` does, where each position of the split has a thread: a tile is 32 neighbouring threads, so one
// span or several, and a maximum is the same in any order. A thread keeps to its own scores until they are weights. Follows
// `span-subgroups.wgsl`.

// Of a tile.
const SPANS: u32 = TILE / SPAN;

// [GROUP, TILES, SPANS]
var<workgroup> spanMaxima: array<f32, GROUP * TILES * SPANS>;

fn weighScores(first: u32, last: u32, thread: u32) {
  let p = first / SPLIT * SPLIT + thread;
  let isSeen = p >= first && p <= last;
  for (var g = 0u; g < GROUP; g++) {
    var score = LOWEST;
    if (isSeen) {
      score = scores[g * SPLIT + thread];
    }
    let most = spanMax(score);
    if (SPANS == 1u) {
      setWeight(g, thread, score, most, isSeen);
    } else if (thread % SPAN == 0u) {
      spanMaxima[(g * SPLIT + thread) / SPAN] = most;
    }
  }
  if (SPANS > 1u) {
    workgroupBarrier();
    for (var g = 0u; g < GROUP; g++) {
      var most = LOWEST;
      for (var i = 0u; i < SPANS; i++) {
        most = max(most, spanMaxima[(g * TILES + thread / TILE) * SPANS + i]);
      }
      setWeight(g, thread, scores[g * SPLIT + thread], most, isSeen);
    }
  }
  workgroupBarrier();
}

fn setWeight(g: u32, thread: u32, score: f32, most: f32, isSeen: bool) {
  scores[g * SPLIT + thread] = select(0.0, exp(score - most), isSeen);
  if (thread % TILE == 0u) {
    tileWeights[g * TILES + thread / TILE].most = most;
  }
}
