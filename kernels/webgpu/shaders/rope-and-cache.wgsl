// Norms and rotates the q and k heads of each row, leaves q in place, and writes k and v to the row's position.
//
// qkv           f32 [token rows, stride]: heads, then kvHeads of k, then kvHeads of v, HEAD_DIM each
// rope          f32 [positions, rotaryDim]: rotaryDim/2 cosines, then as many sines
// qNorm, kNorm  f32 [HEAD_DIM]
// keys          f32 [blocks, kvHeads, HEAD_DIM/4, 16 positions, 4]: four columns of 16 positions side by side, so that
//               threads that take a position each read along
// values        f32 [blocks, kvHeads, 16 positions, HEAD_DIM]; with HALVES both in half precision, two to a word
//
// One workgroup for each head of each row. Pairs are (i, i + rotaryDim/2). Bound by memory.
// Source: Su et al., arXiv:2104.09864.

struct Params {
  heads: u32,
  kvHeads: u32,
  stride: u32,
  rotaryDim: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(3) var<storage, read> rope: array<f32>;
@group(0) @binding(4) var<storage, read> qNorm: array<f32>;
@group(0) @binding(5) var<storage, read> kNorm: array<f32>;
@group(0) @binding(6) var<storage, read_write> keys: array<u32>;
@group(0) @binding(7) var<storage, read_write> values: array<u32>;

const THREADS: u32 = 64u;
const HEAD_DIM: u32 = 64u;
const Q_NORM: bool = false;
const K_NORM: bool = false;
const HALVES: bool = false;

var<workgroup> head: array<f32, HEAD_DIM>;
var<workgroup> sums: array<f32, THREADS>;

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

// The nearest half, ties to even, at most ±65504; by integers, since drivers round as they like.
fn halfOf(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = min(bits & 0x7fffffffu, 0x477fe000u);
  if (magnitude < 0x38800000u) {
    // Below the normal halves: the addend's last bit is the last of a half, and the sum is rounded to it.
    return sign | (bitcast<u32>(bitcast<f32>(magnitude) + 0.5) - 0x3f000000u);
  }
  return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u);
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
      let to = ((page + kvHead) * 16u + inPage) * HEAD_DIM + i;
      if (!HALVES) {
        values[to] = bitcast<u32>(qkv[at + i]);
      } else if (i % 2u == 0u) {
        values[to / 2u] = halfOf(qkv[at + i]) | (halfOf(qkv[at + i + 1u]) << 16u);
      }
    }
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
    sums[thread] = squares;
    workgroupBarrier();
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
      if (thread < half) {
        sums[thread] += sums[thread + half];
      }
      workgroupBarrier();
    }
    let scale = inverseSqrt(sums[0] / f32(HEAD_DIM) + params.eps);
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
      head[i] = head[i] * scale * select(kNorm[i], qNorm[i], isQuery);
    }
  }
  workgroupBarrier();
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    let value = rotated(i, ropeRowOf(row));
    if (isQuery) {
      qkv[at + i] = value;
      continue;
    }
    let to = (((page + kvHead) * (HEAD_DIM / 4u) + i / 4u) * 16u + inPage) * 4u + i % 4u;
    if (!HALVES) {
      keys[to] = bitcast<u32>(value);
    } else if (i % 2u == 0u) {
      keys[to / 2u] = halfOf(value) | (halfOf(rotated(i + 1u, ropeRowOf(row))) << 16u);
    }
  }
}
