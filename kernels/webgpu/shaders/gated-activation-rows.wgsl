// out[r][i] = act(x[r][i]) · x[r][n + i], n = cols, perhaps with a limit, and with QUANTIZE the 8-bit form of out[r].
//
// x    f32 [rows, xStride], as vectors: the gate, then the up part
// out  f32 [rows, cols], as vectors
//
// The form for rows of whole blocks of 32: a thread takes four columns. Follows `quantize-four.wgsl` and `activate.wgsl`.
// Bound by memory.

struct Params {
  cols: u32,
  xStride: u32,
  domain: u32,
  limit: f32,
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
  let fours = params.cols / 4u;
  let row = index / fours;
  let isStored = row < rowsOf(params.domain);
  var values = vec4f(0.0);
  if (isStored) {
    let at = row * (params.xStride / 4u) + index % fours;
    let gate = x[at];
    let up = x[at + fours];
    let limit = params.limit;
    values = vec4f(
      gated(gate.x, up.x, limit),
      gated(gate.y, up.y, limit),
      gated(gate.z, up.z, limit),
      gated(gate.w, up.w, limit),
    );
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
