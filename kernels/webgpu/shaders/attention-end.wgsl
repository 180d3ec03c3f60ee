// The last step of attention: the division by the sum of weights, in which a head's sink has its share.

// f32 [heads]
@group(0) @binding(8) var<storage, read> sinks: array<f32>;

fn finished(value: vec4f, weights: Weights, head: u32) -> vec4f {
  if (SINKS) {
    let sink = Weights(sinks[head], 1.0);
    let shares = sharesOf(weights, sink);
    return value * shares.before / merged(weights, sink, shares).total;
  }
  return value / weights.total;
}
