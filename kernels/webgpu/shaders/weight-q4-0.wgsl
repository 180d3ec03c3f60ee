// Q4_0 weights: a row is one vector of nibbles for each block of 32 columns, then a half-precision scale a block. As in
// the file, byte i of a block holds column i in its low nibble and column i + 16 in its high one, each plus 8.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 bytes, four columns a word: what a column's code is, plus CODE_OFFSET.
struct Codes {
  low: vec4u,
  high: vec4u,
}

// Nibbles are multiplied as they are, and the offset's share is taken off a whole block at a time.
const CODE_OFFSET: i32 = 8;

fn codesOf(base: u32, block: u32) -> Codes {
  let pairs = weights[base + block];
  return Codes(pairs & vec4u(0x0f0f0f0fu), (pairs >> vec4u(4u)) & vec4u(0x0f0f0f0fu));
}

fn scaleOf(base: u32, block: u32, blocks: u32) -> f32 {
  let pair = unpack2x16float(weights[base + blocks + block / 8u][block / 2u % 4u]);
  return select(pair.x, pair.y, (block & 1u) == 1u);
}
