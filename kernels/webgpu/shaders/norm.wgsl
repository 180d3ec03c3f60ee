// x[r] += addScale · add[r]; out[r][i] = (x[r][i] − shift) / sqrt(mean((x[r] − shift)²) + eps) · weight[i] + bias[i], with
// shift = mean(x[r]) where CENTERED, else 0.
//
// x, add, out   f32 [rows, stride]; with IN_PLACE the result goes to x, and `out` is not touched
// weight, bias  f32 [cols]
//
// Columns `first` to first + cols of a row. One workgroup a row; thread t takes columns t, t + THREADS, …. Follows
// `sum-threads.wgsl`. Bound by memory.
// Sources: Zhang and Sennrich, arXiv:1910.07467; Ba et al., arXiv:1607.06450.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
  addScale: f32,
  first: u32,
}

@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> add: array<f32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read> bias: array<f32>;

const THREADS: u32 = 128u;
const RESIDUAL: bool = false;
const IN_PLACE: bool = false;
const CENTERED: bool = false;
const BIAS: bool = false;

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
  let at = row * params.stride + params.first;
  var plain = 0.0;
  var squares = 0.0;
  for (var i = thread; i < params.cols; i += THREADS) {
    var value = x[at + i];
    if (RESIDUAL) {
      value += add[at + i] * params.addScale;
      x[at + i] = value;
    }
    plain += value;
    squares = fma(value, value, squares);
  }
  var shift = 0.0;
  if (CENTERED) {
    shift = sumOfThreads(plain, thread) / f32(params.cols);
    squares = 0.0;
    for (var i = thread; i < params.cols; i += THREADS) {
      let value = x[at + i] - shift;
      squares = fma(value, value, squares);
    }
    workgroupBarrier();
  }
  let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.eps);
  for (var i = thread; i < params.cols; i += THREADS) {
    var value = (x[at + i] - shift) * scale * weight[i];
    if (BIAS) {
      value += bias[i];
    }
    if (IN_PLACE) {
      x[at + i] = value;
    } else {
      out[at + i] = value;
    }
  }
}
