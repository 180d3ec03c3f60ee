// What becomes of a head of q, k or v once it is there: the norm, the rotation, and its place in `qkv` or the cache.
//
// rope  f32 [positions, ROTARY]: ROTARY/2 cosines, then as many sines
//
// Pairs are (i, i + ROTARY/2). LANES threads, a power of two, take the elements in turn; what further ones add to a sum over
// threads is zero and comes last, so that the sum is that of LANES. Follows `sum-threads.wgsl` and a file that declares
// `normWeight`, which gives element i of a norm, and `keepQuery`, which stores element i of a q head; a `store-*.wgsl` follows.
// Source: Su et al., arXiv:2104.09864.

@group(0) @binding(3) var<storage, read> rope: array<f32>;

const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 64u;
const FOURS: u32 = HEAD_DIM / 4u;
const ROTARY: u32 = HEAD_DIM;
const Q_NORM: bool = false;
const K_NORM: bool = false;
const LANES: u32 = 64u;

var<workgroup> head: array<f32, HEAD_DIM>;
// What goes to the cache.
var<workgroup> turned: array<f32, HEAD_DIM>;

// Columns 4i … 4i+3 of it.
fn headFour(i: u32) -> vec4f {
  return vec4f(turned[4u * i], turned[4u * i + 1u], turned[4u * i + 2u], turned[4u * i + 3u]);
}

fn rotated(i: u32, ropeRow: u32) -> f32 {
  let half = ROTARY / 2u;
  if (i >= 2u * half) {
    return head[i];
  }
  let at = ropeRow * ROTARY + i % half;
  let cos = rope[at];
  let sin = rope[at + half];
  if (i < half) {
    return fma(head[i], cos, -(head[i + half] * sin));
  }
  return fma(head[i], cos, head[i - half] * sin);
}

// Ends the head in `head`, whose element i the thread i mod LANES has put there. All threads call it together.
fn endHead(row: u32, h: u32, eps: f32, thread: u32) {
  let isQuery = h < HEADS;
  let isValue = h >= HEADS + KV_HEADS;
  // Beyond the lanes there is nothing to do.
  let first = select(HEAD_DIM, thread, thread < LANES);
  if ((isQuery && Q_NORM) || (!isQuery && !isValue && K_NORM)) {
    var squares = 0.0;
    for (var i = first; i < HEAD_DIM; i += LANES) {
      squares = fma(head[i], head[i], squares);
    }
    let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(HEAD_DIM) + eps);
    for (var i = first; i < HEAD_DIM; i += LANES) {
      head[i] = head[i] * scale * normWeight(isQuery, i);
    }
  }
  workgroupBarrier();
  for (var i = first; i < HEAD_DIM; i += LANES) {
    var value = head[i];
    if (!isValue) {
      value = rotated(i, ropeRowOf(row));
    }
    if (isQuery) {
      keepQuery(row, h, i, value);
    } else {
      turned[i] = value;
    }
  }
  workgroupBarrier();
  if (isQuery) {
    return;
  }
  let position = positionOf(row);
  let page = blockOf(slotOf(row), position / 16u) * KV_HEADS + (h - HEADS) % KV_HEADS;
  if (isValue) {
    storeValue(page, position % 16u, thread);
  } else {
    storeKey(page, position % 16u, thread);
  }
  workgroupBarrier();
}
