// x[r] = cap · tanh(scale · x[r] / cap), or scale · x[r] where cap is 0
//
// x  f32 [rows, stride]
//
// One thread an element. Bound by memory. tanh is clamped where it no longer changes.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  scale: f32,
  cap: f32,
}

@group(0) @binding(2) var<storage, read_write> x: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.cols;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * params.stride + index % params.cols;
  let value = params.scale * x[at];
  if (params.cap > 0.0) {
    x[at] = params.cap * tanh(clamp(value / params.cap, -15.0, 15.0));
  } else {
    x[at] = value;
  }
}
