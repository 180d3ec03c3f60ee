// Keys and values as bytes, four a word. A page, a K/V head of a block, begins with the scales of its 16 positions as floats.
//
// keys    [blocks, kvHeads, 16 scales then HEAD_DIM/4 × 16 positions]
// values  [blocks, kvHeads, 16 scales then 16 positions × HEAD_DIM/4]

@group(0) @binding(5) var<storage, read> keys: array<u32>;
@group(0) @binding(6) var<storage, read> values: array<u32>;

const PAGE_WORDS: u32 = 16u + 16u * FOURS;

// What is read at a time: four columns, and the scale of their position.
struct Stored {
  word: u32,
  scale: f32,
}

fn fourOfStored(four: Stored) -> vec4f {
  let bytes = vec4i(vec4u(four.word << 24u, four.word << 16u, four.word << 8u, four.word));
  return vec4f(bytes >> vec4u(24u)) * four.scale;
}

// Columns 4i … 4i+3 of a position's key; `page` counts the K/V heads of all blocks.
fn storedKey(page: u32, i: u32, inPage: u32) -> Stored {
  let at = page * PAGE_WORDS;
  return Stored(keys[at + 16u + i * 16u + inPage], bitcast<f32>(keys[at + inPage]));
}

fn storedValue(page: u32, i: u32, inPage: u32) -> Stored {
  let at = page * PAGE_WORDS;
  return Stored(values[at + 16u + inPage * FOURS + i], bitcast<f32>(values[at + inPage]));
}
