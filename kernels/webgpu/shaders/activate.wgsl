// The activation functions. Arguments are clamped where the result no longer changes, since a device may compute exp and
// tanh beyond that as it likes.

// 0 silu, 1 gelu by tanh, 2 quick gelu, 3 gelu, 4 relu
const ACTIVATION: u32 = 0u;

// x · Φ(x), with Φ within 1e-7. Source: Abramowitz and Stegun, 7.1.26.
fn gelu(x: f32) -> f32 {
  let t = 1.0 / fma(0.3275911 * 0.7071067811865476, abs(x), 1.0);
  let sum = fma(t, fma(t, fma(t, fma(t, 1.061405429, -1.453152027), 1.421413741), -0.284496736), 0.254829592);
  let tail = 0.5 * sum * t * exp(max(-0.5 * x * x, -80.0));
  return x * select(tail, 1.0 - tail, x >= 0.0);
}

fn activate(x: f32) -> f32 {
  switch (ACTIVATION) {
    case 1u: {
      let inner = 0.7978845608028654 * fma(0.044715 * x * x, x, x);
      return 0.5 * x * (1.0 + tanh(clamp(inner, -15.0, 15.0)));
    }
    case 2u: {
      return x / (1.0 + exp(min(-1.702 * x, 80.0)));
    }
    case 3u: {
      return gelu(x);
    }
    case 4u: {
      return max(x, 0.0);
    }
    default: {
      return x / (1.0 + exp(min(-x, 80.0)));
    }
  }
}

// act(gate) · up; with a limit the gate is cut off above, up on both sides, and 1 is added to it.
fn gated(gate: f32, up: f32, limit: f32) -> f32 {
  if (limit > 0.0) {
    return activate(min(gate, limit)) * (clamp(up, -limit, limit) + 1.0);
  }
  return activate(gate) * up;
}
