// x[r] += add[r]; out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) · weight[i]
//
// x, add, out  f32 [rows, stride]; with IN_PLACE the result goes to x, and `out` is not touched
// weight       f32 [cols]
//
// One workgroup a row; thread t takes columns t, t + THREADS, … and the threads' sums are added up as a binary tree, so
// that the order is fixed by the shape. Bound by memory. Source: Zhang and Sennrich, arXiv:1910.07467.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> add: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 128u;
const RESIDUAL: bool = false;
const IN_PLACE: bool = false;

var<workgroup> sums: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.stride;
  var squares = 0.0;
  for (var i = thread; i < params.cols; i += THREADS) {
    var value = x[at + i];
    if (RESIDUAL) {
      value += add[at + i];
      x[at + i] = value;
    }
    squares = fma(value, value, squares);
  }
  sums[thread] = squares;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      sums[thread] += sums[thread + half];
    }
    workgroupBarrier();
  }
  let scale = inverseSqrt(sums[0] / f32(params.cols) + params.eps);
  for (var i = thread; i < params.cols; i += THREADS) {
    let value = x[at + i] * scale * weight[i];
    if (IN_PLACE) {
      x[at + i] = value;
    } else {
      out[at + i] = value;
    }
  }
}
