// What codes are multiplied by, and what is taken off: behind them, for each eight blocks, one vector as it stands in files
// of Q4_K and Q5_K: d and dmin in half precision, then 6-bit scales and mins of the blocks in twelve bytes.

const HAS_MIN: bool = true;
const ONE_SCALE: bool = true;

fn byteOf(header: vec4u, i: u32) -> u32 {
  return (header[1u + i / 4u] >> (8u * (i % 4u))) & 0xffu;
}

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let header = weights[base + CODE_VECTORS * blocks + block / 8u];
  let d = unpack2x16float(header.x);
  let s = block % 8u;
  var scale = byteOf(header, s) & 63u;
  var least = byteOf(header, s + 4u);
  if (s >= 4u) {
    let both = byteOf(header, s + 4u);
    scale = (both & 15u) | ((byteOf(header, s - 4u) >> 6u) << 4u);
    least = (both >> 4u) | ((byteOf(header, s) >> 6u) << 4u);
  }
  let factor = d.x * f32(scale);
  return vec3f(factor, factor, -(d.y * f32(least & 63u)));
}
