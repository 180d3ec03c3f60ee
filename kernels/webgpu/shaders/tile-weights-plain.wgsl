// From the scores of a split, those of positions `first` to `last`, to each tile's greatest and to the weights, by workgroup
// memory. Where subgroups are used, `tile-weights-subgroups.wgsl` takes its place. Belongs to `attention-chunk.wgsl`.

fn weighScores(first: u32, last: u32, thread: u32) {
  let start = first / SPLIT * SPLIT;
  workgroupBarrier();
  for (var i = thread; i < GROUP * TILES; i += THREADS) {
    let begin = max(first, start + i % TILES * TILE);
    let end = min(last + 1u, start + (i % TILES + 1u) * TILE);
    var most = LOWEST;
    for (var p = begin; p < end; p++) {
      most = max(most, scores[i / TILES * SPLIT + p % SPLIT]);
    }
    tileWeights[i].most = most;
  }
  workgroupBarrier();
  for (var p = start + thread; p <= last; p += THREADS) {
    for (var g = 0u; g < GROUP; g++) {
      let at = g * SPLIT + p % SPLIT;
      scores[at] = select(0.0, exp(scores[at] - tileWeights[g * TILES + p % SPLIT / TILE].most), p >= first);
    }
  }
  workgroupBarrier();
}
