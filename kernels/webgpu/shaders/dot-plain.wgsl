// The product of two vectors of four signed bytes, in plain integer arithmetic.

fn fourBytes(word: u32) -> vec4i {
  return bitcast<vec4i>(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u);
}

fn dotBytes(a: u32, b: u32) -> i32 {
  return dot(fourBytes(a), fourBytes(b));
}
