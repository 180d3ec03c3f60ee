// Q8_0 weights: a row is two vectors of signed bytes for each block of 32 columns, then a half-precision scale a block.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word: what a column's code is, plus CODE_OFFSET.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_OFFSET: i32 = 0;

fn codesOf(base: u32, block: u32) -> Codes {
  let at = base + 2u * block;
  return Codes(weights[at], weights[at + 1u]);
}

fn scaleOf(base: u32, block: u32, blocks: u32) -> f32 {
  let pair = unpack2x16float(weights[base + 2u * blocks + block / 8u][block / 2u % 4u]);
  return select(pair.x, pair.y, (block & 1u) == 1u);
}
