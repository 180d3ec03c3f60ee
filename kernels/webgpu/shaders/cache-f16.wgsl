// Keys and values in half precision, in the order of `cache-f32.wgsl`. Follows a `widen-*.wgsl`.

@group(0) @binding(5) var<storage, read> keys: array<vec2u>;
@group(0) @binding(6) var<storage, read> values: array<vec2u>;

// What is read at a time: four columns.
alias Stored = vec2u;

fn fourOfStored(four: Stored) -> vec4f {
  return widened(four);
}

// Columns 4i … 4i+3 of a position's key; `page` counts the K/V heads of all blocks.
fn storedKey(page: u32, i: u32, inPage: u32) -> Stored {
  return keys[(page * FOURS + i) * 16u + inPage];
}

fn storedValue(page: u32, i: u32, inPage: u32) -> Stored {
  return values[(page * 16u + inPage) * FOURS + i];
}
