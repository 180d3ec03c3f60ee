// Weights of eight bits a column: a row begins with two vectors of signed bytes for each block of 32 columns. What the codes
// mean is told by a `factors-*.wgsl`.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// 32 signed bytes, four columns a word.
struct Codes {
  low: vec4u,
  high: vec4u,
}

const CODE_VECTORS: u32 = 2u;

fn codesOf(base: u32, block: u32) -> Codes {
  let at = base + 2u * block;
  return Codes(weights[at], weights[at + 1u]);
}
