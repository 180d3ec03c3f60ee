// Rounds activations to 8 bits in blocks of 32 columns: d = max|x| / 127, code = round(x · (1 / d)), halves to even.
//
// x       f32 [rows, stride], as vectors
// codes   two vectors of signed bytes a block, [rows, blocks]
// scales  f32 [rows, blocks]
//
// One thread a block. Bound by memory. A block of nearly nothing becomes zeros.

struct Params {
  blocks: u32,
  stride: u32,
  domain: u32,
}

@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> codes: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> scales: array<f32>;

const THREADS: u32 = 64u;

fn packed(values: vec4f) -> u32 {
  let bytes = bitcast<vec4u>(vec4i(clamp(round(values), vec4f(-127.0), vec4f(127.0)))) & vec4u(0xffu);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / params.blocks;
  if (row >= rowsOf(params.domain)) {
    return;
  }
  let at = row * (params.stride / 4u) + 8u * (index % params.blocks);
  var most = vec4f(0.0);
  for (var i = 0u; i < 8u; i++) {
    most = max(most, abs(x[at + i]));
  }
  let greatest = max(max(most.x, most.y), max(most.z, most.w));
  let scale = select(greatest / 127.0, 0.0, greatest < 1e-30);
  let inverse = select(1.0 / scale, 0.0, greatest < 1e-30);
  var words = array<u32, 8>();
  for (var i = 0u; i < 8u; i++) {
    words[i] = packed(x[at + i] * inverse);
  }
  codes[2u * index] = vec4u(words[0], words[1], words[2], words[3]);
  codes[2u * index + 1u] = vec4u(words[4], words[5], words[6], words[7]);
  scales[index] = scale;
}
