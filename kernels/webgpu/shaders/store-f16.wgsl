// Writes fours of a head to the cache as `cache-f16.wgsl` reads it; with a file that declares FOURS. Rounded here, to the
// nearest half and of two the even one: WGSL leaves open how `pack2x16float` rounds.

@group(0) @binding(6) var<storage, read_write> keys: array<vec2u>;
const VALUES_BINDING: u32 = 7u;
@group(0) @binding(VALUES_BINDING) var<storage, read_write> values: array<vec2u>;

fn halfOf(x: f32) -> u32 {
  let bits = bitcast<u32>(clamp(x, -65504.0, 65504.0));
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude < 0x38800000u) {
    // A subnormal half counts in units of 2^-24.
    return sign | u32(round(bitcast<f32>(magnitude) * 16777216.0));
  }
  return sign | (((magnitude + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u) - (112u << 10u));
}

fn halvesOf(four: vec4f) -> vec2u {
  return vec2u(halfOf(four.x) | (halfOf(four.y) << 16u), halfOf(four.z) | (halfOf(four.w) << 16u));
}

fn putKey(page: u32, inPage: u32, i: u32, four: vec4f) {
  keys[(page * FOURS + i) * 16u + inPage] = halvesOf(four);
}

fn putValue(page: u32, inPage: u32, i: u32, four: vec4f) {
  values[(page * 16u + inPage) * FOURS + i] = halvesOf(four);
}
