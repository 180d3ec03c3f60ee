// What codes are multiplied by: behind them an exponent e in 16 bits for each block, whose scale is 2^(e − 128). Below the
// least normal number it is taken as zero.

const HAS_MIN: bool = false;
const ONE_SCALE: bool = true;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let pair = weights[base + CODE_VECTORS * blocks + block / 8u][block / 2u % 4u];
  let exponent = (pair >> (16u * (block & 1u))) & 0xffffu;
  let scale = bitcast<f32>((max(exponent, 1u) - 1u) << 23u);
  return vec3f(scale, scale, 0.0);
}
