// out[r][i] = act(x[r][i]) · x[r][n + i], n = cols, perhaps with a limit
//
// x    f32 [rows, xStride]: the gate, then the up part
// out  f32 [rows, outStride]
//
// One thread an element. Follows `activate.wgsl`. Bound by memory.

struct Params {
  cols: u32,
  xStride: u32,
  outStride: u32,
  domain: u32,
  limit: f32,
}

@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;

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
  out[row * params.outStride + i] = gated(x[at], x[at + params.cols], params.limit);
}
