// out[r][i] = act(x[r][i]) · x[r][n + i], n = cols
//
// x    f32 [rows, xStride]: the gate, then the up part
// out  f32 [rows, outStride]
//
// One thread an element. Bound by memory. Arguments are clamped where the result no longer changes, since a device may
// compute exp and tanh beyond that as it likes.

struct Params {
  cols: u32,
  xStride: u32,
  outStride: u32,
  domain: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;
const GELU: bool = false;

fn activate(gate: f32) -> f32 {
  if (GELU) {
    let inner = 0.7978845608028654 * fma(0.044715 * gate * gate, gate, gate);
    return 0.5 * gate * (1.0 + tanh(clamp(inner, -15.0, 15.0)));
  }
  return gate / (1.0 + exp(min(-gate, 80.0)));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.cols;
  let i = index % params.cols;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.xStride + i;
  out[row * params.outStride + i] = activate(x[at]) * x[at + params.cols];
}
