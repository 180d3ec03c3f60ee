// The activation functions. Arguments are clamped where the result no longer changes, since a device may compute exp and
// tanh beyond that as it likes.

const GELU: bool = false;

fn activate(gate: f32) -> f32 {
  if (GELU) {
    let inner = 0.7978845608028654 * fma(0.044715 * gate * gate, gate, gate);
    return 0.5 * gate * (1.0 + tanh(clamp(inner, -15.0, 15.0)));
  }
  return gate / (1.0 + exp(min(-gate, 80.0)));
}
