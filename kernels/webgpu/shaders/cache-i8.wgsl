// Keys and values as bytes, four a word. A page, a K/V head of a block, begins with the scales of its 16 positions as floats.
//
// keys    [blocks, kvHeads, 16 scales then HEAD_DIM/4 × 16 positions]
// values  [blocks, kvHeads, 16 scales then 16 positions × HEAD_DIM/4]

@group(0) @binding(5) var<storage, read> keys: array<u32>;
@group(0) @binding(6) var<storage, read> values: array<u32>;

const PAGE_WORDS: u32 = 16u + 16u * FOURS;

fn fourBytes(word: u32) -> vec4f {
  let bytes = vec4i(vec4u(word << 24u, word << 16u, word << 8u, word));
  return vec4f(bytes >> vec4u(24u));
}

// Columns 4i … 4i+3 of a position's key; `page` counts the K/V heads of all blocks.
fn keyAt(page: u32, i: u32, inPage: u32) -> vec4f {
  let at = page * PAGE_WORDS;
  return fourBytes(keys[at + 16u + i * 16u + inPage]) * bitcast<f32>(keys[at + inPage]);
}

fn valueAt(page: u32, i: u32, inPage: u32) -> vec4f {
  let at = page * PAGE_WORDS;
  return fourBytes(values[at + 16u + inPage * FOURS + i]) * bitcast<f32>(values[at + inPage]);
}
