// Four halves as floats, by a function that needs no f16 type.

fn widened(halves: vec2u) -> vec4f {
  return vec4f(unpack2x16float(halves.x), unpack2x16float(halves.y));
}
