// Norms and rotates the q and k heads of each row, leaves q in place, and writes k and v to the row's position.
//
// qkv           f32 [token rows, stride]: heads, then kvHeads of k, then kvHeads of v, HEAD_DIM each
// qNorm, kNorm  f32 [HEAD_DIM]
//
// One workgroup for each head of each row. Follows `sum-threads.wgsl`; `head-end.wgsl` and a `store-*.wgsl` follow. Bound by memory.

struct Params {
  stride: u32,
  eps: f32,
}

@group(0) @binding(2) var<storage, read_write> qkv: array<f32>;
@group(0) @binding(4) var<storage, read> qNorm: array<f32>;
@group(0) @binding(5) var<storage, read> kNorm: array<f32>;

const THREADS: u32 = 64u;

fn normWeight(isQuery: bool, i: u32) -> f32 {
  return select(kNorm[i], qNorm[i], isQuery);
}

fn keepQuery(row: u32, h: u32, i: u32, value: f32) {
  qkv[row * params.stride + h * HEAD_DIM + i] = value;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let perRow = HEADS + 2u * KV_HEADS;
  let index = workgroupIndex(id, count);
  let row = index / perRow;
  let h = index % perRow;
  if (row >= rowsOf(0u)) {
    return;
  }
  for (var i = thread; i < HEAD_DIM; i += THREADS) {
    head[i] = qkv[row * params.stride + h * HEAD_DIM + i];
  }
  endHead(row, h, params.eps, thread);
}
