// What `maxima-plain.wgsl` does, by subgroups of eight threads or more: nobody waits for anybody else, and the greatest is the
// same in any order.
enable subgroups;

var<private> maxima: array<f32, TURNS>;

fn noteMaximum(value: f32, turn: u32, thread: u32) {
  let two = max(value, subgroupShuffleXor(value, 1u));
  let four = max(two, subgroupShuffleXor(two, 2u));
  maxima[turn] = max(four, subgroupShuffleXor(four, 4u));
}

fn maximaBarrier() {}

fn maximumOfEight(turn: u32, thread: u32) -> f32 {
  return maxima[turn];
}
