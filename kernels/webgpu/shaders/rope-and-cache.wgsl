// Norms and rotates the q and k heads of each row, leaves q in place, and writes k and v to the row's position.
//
// qkv           f32 [token rows, stride]: heads, then kvHeads of k, then kvHeads of v, HEAD_DIM each
// rope          f32 [positions, rotaryDim]: rotaryDim/2 cosines, then as many sines
// qNorm, kNorm  f32 [HEAD_DIM]
//
// One workgroup for each head of each row. Pairs are (i, i + rotaryDim/2). Follows `sum-threads.wgsl`; a `store-*.wgsl` follows,
// which writes k and v in the cache's format. Bound by memory.
// Source: Su et al., arXiv:2104.09864.

struct Params {
  heads: u32,
  kvHeads: u32,
  stride: u32,
  rotaryDim: u32,
  eps: f32,
}

@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> rope: array<f32>;
@group(0) @binding(4) var<storage, read> qNorm: array<f32>;
@group(0) @binding(5) var<storage, read> kNorm: array<f32>;

const THREADS: u32 = 64u;
const HEAD_DIM: u32 = 64u;
const FOURS: u32 = HEAD_DIM / 4u;
const Q_NORM: bool = false;
const K_NORM: bool = false;

var<workgroup> head: array<f32, HEAD_DIM>;
// What goes to the cache.
var<workgroup> turned: array<f32, HEAD_DIM>;

// Columns 4i … 4i+3 of it.
fn fourOf(i: u32) -> vec4f {
  return vec4f(turned[4u * i], turned[4u * i + 1u], turned[4u * i + 2u], turned[4u * i + 3u]);
}

fn rotated(i: u32, ropeRow: u32) -> f32 {
  let half = params.rotaryDim / 2u;
  if (i >= 2u * half) {
    return head[i];
  }
  let at = ropeRow * params.rotaryDim + i % half;
  let cos = rope[at];
  let sin = rope[at + half];
  if (i < half) {
    return fma(head[i], cos, -(head[i + half] * sin));
  }
  return fma(head[i], cos, head[i - half] * sin);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let perRow = params.heads + 2u * params.kvHeads;
  let index = workgroupIndex(id, count);
  let row = index / perRow;
  let h = index % perRow;
  if (row >= rowsOf(0u)) {
    return;
  }
  let position = positionOf(row);
  let at = row * params.stride + h * HEAD_DIM;
  let page = blockOf(slotOf(row), position / 16u) * params.kvHeads;
  let inPage = position % 16u;
  let kvHead = (h - min(h, params.heads)) % params.kvHeads;

  if (h >= params.heads + params.kvHeads) {
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      turned[i] = qkv[at + i];
    }
    workgroupBarrier();
    storeValue(page + kvHead, inPage, thread);
    return;
  }

  var squares = 0.0;
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    let x = qkv[at + i];
    head[i] = x;
    squares = fma(x, x, squares);
  }
  let isQuery = h < params.heads;
  if ((isQuery && Q_NORM) || (!isQuery && K_NORM)) {
    let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(HEAD_DIM) + params.eps);
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      head[i] = head[i] * scale * select(kNorm[i], qNorm[i], isQuery);
    }
  }
  workgroupBarrier();
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    let value = rotated(i, ropeRowOf(row));
    if (isQuery) {
      qkv[at + i] = value;
    } else {
      turned[i] = value;
    }
  }
  if (!isQuery) {
    workgroupBarrier();
    storeKey(page + kvHead, inPage, thread);
  }
}
