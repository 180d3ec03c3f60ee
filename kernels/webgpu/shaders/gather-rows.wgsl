// out[j] = x[logitRows[j]], and with QUANTIZE the 8-bit form of out[j].
//
// x    f32 [token rows, stride], as vectors
// out  f32 [logit rows, stride], as vectors
//
// One thread four columns, padding included. Follows `quantize-four.wgsl`. Bound by memory.

struct Params {
  stride: u32,
}

@group(0) @binding(4) var<storage, read> x: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let fours = params.stride / 4u;
  let row = index / fours;
  let isStored = row < rowsOf(1u);
  var values = vec4f(0.0);
  if (isStored) {
    values = x[logitRow(row) * fours + index % fours];
    out[index] = values;
  }
  if (QUANTIZE) {
    noteFour(values, 0u, thread);
    maximaBarrier();
    if (isStored) {
      storeCodes(values, index, 0u, thread);
    }
  }
}
