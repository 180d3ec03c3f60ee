// As `codes-nibbles.wgsl`, but a nibble stands for one of the 16 values of a `table-*.wgsl` before this.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_VECTORS: u32 = 1u;

// The values of four nibbles, a byte each.
fn lookUp(nibbles: u32) -> u32 {
  var values = 0u;
  for (var shift = 0u; shift < 32u; shift += 8u) {
    let nibble = (nibbles >> shift) & 15u;
    values |= ((VALUES[nibble >> 2u] >> (8u * (nibble & 3u))) & 0xffu) << shift;
  }
  return values;
}

fn lookUpAll(nibbles: vec4u) -> vec4u {
  return vec4u(lookUp(nibbles.x), lookUp(nibbles.y), lookUp(nibbles.z), lookUp(nibbles.w));
}

fn codesOf(base: u32, block: u32) -> Codes {
  let pairs = weights[base + block];
  return Codes(lookUpAll(pairs & vec4u(0x0f0f0f0fu)), lookUpAll((pairs >> vec4u(4u)) & vec4u(0x0f0f0f0fu)));
}
