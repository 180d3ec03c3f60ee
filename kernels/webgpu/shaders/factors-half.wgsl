// What codes are multiplied by: behind them a half-precision scale for each block.

const HAS_MIN: bool = false;
const ONE_SCALE: bool = true;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let pair = unpack2x16float(weights[base + CODE_VECTORS * blocks + block / 8u][block / 2u % 4u]);
  let scale = select(pair.x, pair.y, (block & 1u) == 1u);
  return vec3f(scale, scale, 0.0);
}
