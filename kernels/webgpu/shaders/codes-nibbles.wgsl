// Weights of four bits a column: a row begins with one vector for each block of 32 columns, whose byte i holds column i in
// its low nibble and column i + 16 in its high one. What the codes mean is told by a `factors-*.wgsl`.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_VECTORS: u32 = 1u;

fn codesOf(base: u32, block: u32) -> Codes {
  let pairs = weights[base + block];
  return Codes(pairs & vec4u(0x0f0f0f0fu), (pairs >> vec4u(4u)) & vec4u(0x0f0f0f0fu));
}
