// How the workgroups of a dispatch hand their results to the last of them that is done, so that it does at once what needs
// them all, and no dispatch has to follow.
//
// WGSL's atomics keep no order between two places: that a workgroup has counted itself does not say that what it handed over
// is there to be seen. So each value says itself that it is there: a place holds 0 until then, and the bits of a number plus
// one afterwards. The last workgroup waits for values that are on their way, and leaves zeros for the next dispatch.
// Source: WGSL, "Memory model" and "Atomic Operations".
//
// exchange  u32: places for values and, apart from them, for counts, all zero between dispatches

@group(0) @binding(7) var<storage, read_write> exchange: array<atomic<u32>>;

var<workgroup> isLast: u32;

fn handOver(place: u32, value: f32) {
  let bits = bitcast<u32>(value);
  // The one number of whose bits nothing would be left is a NaN, and becomes another.
  atomicStore(&exchange[place], select(bits + 1u, bits, bits == 0xffffffffu));
}

// What is at a place so far. Several can be on their way at once; then each is taken.
fn peek(place: u32) -> u32 {
  return atomicLoad(&exchange[place]);
}

fn take(place: u32, peeked: u32) -> f32 {
  var bits = peeked;
  while (bits == 0u) {
    bits = atomicLoad(&exchange[place]);
  }
  atomicStore(&exchange[place], 0u);
  return bitcast<f32>(bits - 1u);
}

fn takeOver(place: u32) -> f32 {
  return take(place, peek(place));
}

// True in all threads of the last of `groups` workgroups that count themselves at a place; all threads call it together.
fn isLastOf(place: u32, groups: u32, thread: u32) -> bool {
  workgroupBarrier();
  if (thread == 0u) {
    isLast = 0u;
    if (atomicAdd(&exchange[place], 1u) + 1u == groups) {
      atomicStore(&exchange[place], 0u);
      isLast = 1u;
    }
  }
  return workgroupUniformLoad(&isLast) == 1u;
}
