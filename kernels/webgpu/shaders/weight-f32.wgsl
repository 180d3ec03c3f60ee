// F32 weights: a row is a run of floats, padded with zeros to 32 columns.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector `base`.
fn weightAt(base: u32, i: u32) -> vec4f {
  return bitcast<vec4f>(weights[base + i]);
}

fn fourOf(words: vec4u) -> vec4f {
  return bitcast<vec4f>(words);
}
