// The greatest of what eight neighbouring threads bring, by workgroup memory, TURNS times: each thread notes its own, then all
// meet at `maximaBarrier`, then each may read. Where subgroups have eight threads, `maxima-subgroups.wgsl` takes its place.

var<workgroup> maxima: array<f32, THREADS * TURNS>;

fn noteMaximum(value: f32, turn: u32, thread: u32) {
  maxima[turn * THREADS + thread] = value;
}

fn maximaBarrier() {
  workgroupBarrier();
}

fn maximumOfEight(turn: u32, thread: u32) -> f32 {
  var greatest = 0.0;
  for (var i = 0u; i < 8u; i++) {
    greatest = max(greatest, maxima[turn * THREADS + (thread & ~7u) + i]);
  }
  return greatest;
}
