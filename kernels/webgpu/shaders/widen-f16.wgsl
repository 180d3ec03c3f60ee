// Four halves as floats, by the f16 type: where it is the adapter's own, no compiler has to pick words apart.

enable f16;

fn widened(halves: vec2u) -> vec4f {
  return vec4f(bitcast<vec4<f16>>(halves));
}
