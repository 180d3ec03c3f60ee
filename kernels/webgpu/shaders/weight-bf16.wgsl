// BF16 weights: a row is a run of upper halves of floats, padded with zeros to 32 columns.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector `base`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let eight = weights[base + i / 2u];
  return fourOf(select(eight, eight.zwxy, (i & 1u) == 1u));
}

// Four columns of the first two words.
fn fourOf(words: vec4u) -> vec4f {
  let mask = 0xffff0000u;
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & mask, words.y << 16u, words.y & mask));
}
