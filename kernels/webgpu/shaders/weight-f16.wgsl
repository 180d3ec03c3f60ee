// F16 weights: a row is a run of halves, padded with zeros to 32 columns. Widened by arithmetic that needs no f16 type.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector `base`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let eight = weights[base + i / 2u];
  let four = select(eight.xy, eight.zw, (i & 1u) == 1u);
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
