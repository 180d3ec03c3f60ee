// Keys and values as floats.
//
// keys    vec4 [blocks, kvHeads, HEAD_DIM/4, 16 positions]: threads that take a position each read along
// values  vec4 [blocks, kvHeads, 16 positions, HEAD_DIM/4]

@group(0) @binding(5) var<storage, read> keys: array<vec4f>;
@group(0) @binding(6) var<storage, read> values: array<vec4f>;

// What is read at a time: four columns.
alias Stored = vec4f;

fn fourOfStored(four: Stored) -> vec4f {
  return four;
}

// Columns 4i … 4i+3 of a position's key; `page` counts the K/V heads of all blocks.
fn storedKey(page: u32, i: u32, inPage: u32) -> Stored {
  return keys[(page * FOURS + i) * 16u + inPage];
}

fn storedValue(page: u32, i: u32, inPage: u32) -> Stored {
  return values[(page * 16u + inPage) * FOURS + i];
}
