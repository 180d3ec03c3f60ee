// BF16 weights: a row is a run of upper halves of floats, padded with zeros to 32 columns.

@group(0) @binding(2) var<storage, read> weights: array<vec4u>;

// Columns 4i … 4i+3 of the row that begins at vector `base`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let eight = weights[base + i / 2u];
  let four = select(eight.xy, eight.zw, (i & 1u) == 1u);
  let mask = 0xffff0000u;
  return bitcast<vec4f>(vec4u(four.x << 16u, four.x & mask, four.y << 16u, four.y & mask));
}
