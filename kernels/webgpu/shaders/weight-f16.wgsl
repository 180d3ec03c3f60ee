// F16 weights: a row is a run of halves, padded with zeros to 32 columns. Follows a `widen-*.wgsl`.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector `base`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let eight = weights[base + i / 2u];
  return fourOf(select(eight, eight.zwxy, (i & 1u) == 1u));
}

// Four columns of the first two words.
fn fourOf(words: vec4u) -> vec4f {
  return widened(words.xy);
}
