// The product of two vectors of four signed bytes, by the GPU's own instruction where it has one.
requires packed_4x8_integer_dot_product;

fn dotBytes(a: u32, b: u32) -> i32 {
  return dot4I8Packed(a, b);
}
