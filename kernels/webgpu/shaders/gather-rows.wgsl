// out[j] = x[logitRows[j]]
//
// x    f32 [token rows, stride]
// out  f32 [logit rows, stride]
//
// One thread an element, padding included. Bound by memory.

struct Params {
  stride: u32,
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
  let row = index / params.stride;
  if (row >= rowsOf(1u)) {
    return;
  }
  out[index] = x[logitRow(row) * params.stride + index % params.stride];
}
