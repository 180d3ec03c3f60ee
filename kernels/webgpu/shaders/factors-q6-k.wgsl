// What codes are multiplied by: behind them, for each eight blocks, one vector of signed bytes, a scale for each 16 columns;
// then a half-precision d for each eight blocks, which these are multiplied by.

const HAS_MIN: bool = false;
const ONE_SCALE: bool = false;

// The scales of columns 0 … 15 and 16 … 31, and the min.
fn factorsOf(base: u32, block: u32, blocks: u32) -> vec3f {
  let group = block / 8u;
  let scales = base + CODE_VECTORS * blocks;
  let word = weights[scales + group][block % 8u / 2u] >> (16u * (block & 1u));
  let pair = unpack2x16float(weights[scales + blocks / 8u + group / 8u][group / 2u % 4u]);
  let d = select(pair.x, pair.y, (group & 1u) == 1u);
  let low = f32(bitcast<i32>(word << 24u) >> 24u);
  let high = f32(bitcast<i32>(word << 16u) >> 24u);
  return vec3f(d * low, d * high, 0.0);
}
