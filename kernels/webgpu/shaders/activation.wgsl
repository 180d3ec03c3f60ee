// out[r][i] = act(x[r][i])
//
// x, out  f32 [rows, stride]; with IN_PLACE the result goes to out alone, which is x
//
// One thread an element. Follows `activate.wgsl`. Bound by memory.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
}

@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;
const IN_PLACE: bool = false;

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
  if (IN_PLACE) {
    out[at] = activate(out[at]);
  } else {
    out[at] = activate(x[at]);
  }
}
