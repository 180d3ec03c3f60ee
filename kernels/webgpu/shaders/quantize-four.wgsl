// Rounds a row to 8 bits in the kernel that makes it, so that linear finds its x ready: the same blocks, scales and bytes
// as `quantize-rows.wgsl`. Every thread brings four neighbouring columns TURNS times, eight neighbouring threads a block:
// first all `noteFour`, then `maximaBarrier`, then all `storeCodes`. Follows a `maxima-*.wgsl` and a file that declares THREADS,
// a multiple of eight.
//
// codes   a word of signed bytes for every four columns, [rows, stride / 4]
// scales  f32 [rows, stride / 32]

const CODES_BINDING: u32 = 2u;
const SCALES_BINDING: u32 = 3u;
@group(0) @binding(CODES_BINDING) var<storage, read_write> codes: array<u32>;
@group(0) @binding(SCALES_BINDING) var<storage, read_write> scales: array<f32>;

const QUANTIZE: bool = false;
const TURNS: u32 = 1u;

fn noteFour(values: vec4f, turn: u32, thread: u32) {
  let pair = max(abs(values.xy), abs(values.zw));
  noteMaximum(max(pair.x, pair.y), turn, thread);
}

// `four` counts from the tensor's first columns.
fn storeCodes(values: vec4f, four: u32, turn: u32, thread: u32) {
  let greatest = maximumOfEight(turn, thread);
  let scale = select(greatest / 127.0, 0.0, greatest < 1e-30);
  let inverse = select(1.0 / scale, 0.0, greatest < 1e-30);
  let bytes = bitcast<vec4u>(vec4i(clamp(round(values * inverse), vec4f(-127.0), vec4f(127.0)))) & vec4u(0xffu);
  codes[four] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  if ((thread & 7u) == 0u) {
    scales[four / 8u] = scale;
  }
}
