// out[r] = Σ weights[p] · x[p] over the routes p of row r, in their order
//
// x        f32 [token rows · perToken, stride]
// weights  f32 [token rows, perToken]
// out      f32 [token rows, stride]
//
// One thread an element, padding included. Bound by memory.

struct Params {
  stride: u32,
  perToken: u32,
}

@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.stride;
  if (row >= rowsOf(0u)) {
    return;
  }
  var sum = 0.0;
  for (var p = row * params.perToken; p < (row + 1u) * params.perToken; p++) {
    sum = fma(weights[p], x[p * params.stride + index % params.stride], sum);
  }
  out[index] = sum;
}
