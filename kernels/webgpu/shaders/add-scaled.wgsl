// x[r] += scale · add[r], times sigmoid(gate[r]) where GATED
//
// x, add  f32 [rows, stride]
// gate    f32 [rows, gateStride], of which the first column counts
//
// One thread an element. Bound by memory.

struct Params {
  cols: u32,
  stride: u32,
  gateStride: u32,
  domain: u32,
  scale: f32,
}

@group(0) @binding(2) var<storage, read_write> x: array<f32>;
@group(0) @binding(3) var<storage, read> add: array<f32>;
@group(0) @binding(4) var<storage, read> gate: array<f32>;

const THREADS: u32 = 64u;
const GATED: bool = false;

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
  var scale = params.scale;
  if (GATED) {
    scale /= 1.0 + exp(min(-gate[row * params.gateStride], 80.0));
  }
  x[at] += scale * add[at];
}
