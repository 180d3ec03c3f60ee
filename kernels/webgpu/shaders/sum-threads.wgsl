// The sum of what the threads of a workgroup bring, THREADS a power of two: in pairs of neighbours, pairs of pairs and so on.
// The order is that of THREADS alone, so the same with subgroups of any size and without. Follows a `span-*.wgsl`.

// Spans whose sums one thread adds up.
const TEAM: u32 = 16u;
const SPANS: u32 = THREADS / SPAN;

// Of the spans, then of teams of them.
var<workgroup> spanSums: array<f32, SPANS + SPANS / TEAM>;

fn sumOfTwo(i: u32) -> f32 {
  return spanSums[i] + spanSums[i + 1u];
}

fn sumOfFour(i: u32) -> f32 {
  return sumOfTwo(i) + sumOfTwo(i + 2u);
}

fn sumOfEight(i: u32) -> f32 {
  return sumOfFour(i) + sumOfFour(i + 4u);
}

fn sumOfSpans(first: u32, count: u32) -> f32 {
  switch (count) {
    case 2u: {
      return sumOfTwo(first);
    }
    case 4u: {
      return sumOfFour(first);
    }
    case 8u: {
      return sumOfEight(first);
    }
    default: {
      return sumOfEight(first) + sumOfEight(first + 8u);
    }
  }
}

// All threads call it together, and a barrier is between two calls.
fn sumOfThreads(value: f32, thread: u32) -> f32 {
  let sum = spanSum(value);
  if (SPANS == 1u) {
    return sum;
  }
  if (thread % SPAN == 0u) {
    spanSums[thread / SPAN] = sum;
  }
  workgroupBarrier();
  if (SPANS <= TEAM) {
    return sumOfSpans(0u, SPANS);
  }
  if (thread < SPANS / TEAM) {
    spanSums[SPANS + thread] = sumOfSpans(thread * TEAM, TEAM);
  }
  workgroupBarrier();
  return sumOfSpans(SPANS, SPANS / TEAM);
}
