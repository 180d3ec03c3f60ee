// What codes are multiplied by, and what is added: behind them a half-precision scale and a min for each block.

const HAS_MIN: bool = true;
const ONE_SCALE: bool = true;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let pair = unpack2x16float(weights[base + CODE_VECTORS * blocks + block / 4u][block % 4u]);
  return vec3f(pair.x, pair.x, pair.y);
}
