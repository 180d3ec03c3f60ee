// out[p] = x[p / perToken]: a row for each route of each token
//
// x    f32 [token rows, stride]
// out  f32 [token rows · perToken, stride]
//
// One thread an element, padding included. Bound by memory.

struct Params {
  stride: u32,
  perToken: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
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
  let row = index / params.stride;
  if (row >= rowsOf(0u) * params.perToken) {
    return;
  }
  out[index] = x[row / params.perToken * params.stride + index % params.stride];
}
