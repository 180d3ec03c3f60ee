// Keys and values in half precision, in the order of `cache-f32.wgsl`. Follows a `widen-*.wgsl`.

@group(0) @binding(5) var<storage, read> keys: array<vec2u>;
@group(0) @binding(6) var<storage, read> values: array<vec2u>;

// Columns 4i … 4i+3 of a position's key; `page` counts the K/V heads of all blocks.
fn keyAt(page: u32, i: u32, inPage: u32) -> vec4f {
  return widened(keys[(page * FOURS + i) * 16u + inPage]);
}

fn valueAt(page: u32, i: u32, inPage: u32) -> vec4f {
  return widened(values[(page * 16u + inPage) * FOURS + i]);
}
