// What the kernels of `reduceLogits` share: a row of logits [cols], and what is asked of it.
//
// logits    f32 [rows, stride]
// requests  [rows, requestStride]: top (0: nothing is asked), scale as a float (0: no sum), number of picks, whether there
//           is a mask, the mask [words], the picks
// found     [rows, foundStride]: bit 0 if a logit is NaN or +∞ and bit 1 if one is a number, the greatest key that counts, a
//           threshold, how many reach it, whether everything does; at 8 the sum of each workgroup's terms as floats, at
//           8 + sums pairs of id and logit, at 8 + sums + 2 · CAPACITY the picks
// maxima    [rows, words]: the greatest key of each word's logits that count
//
// Floats are compared as keys, integers in the same order; key 0 is that of no float.

struct Params {
  cols: u32,
  stride: u32,
  words: u32,
  requestStride: u32,
  foundStride: u32,
  sums: u32,
}

@group(0) @binding(2) var<storage, read> logits: array<f32>;
@group(0) @binding(3) var<storage, read> requests: array<u32>;
@group(0) @binding(4) var<storage, read_write> maxima: array<u32>;
@group(0) @binding(5) var<storage, read_write> found: array<atomic<u32>>;

// A thread takes a word.
const THREADS: u32 = 256u;
const CAPACITY: u32 = 1024u;
// Of the lowest finite float: what is below counts for nothing.
const LOWEST_KEY: u32 = 0x00800000u;

fn keyOf(bits: u32) -> u32 {
  // Both zeros are one number.
  if (bits == 0x80000000u) {
    return 0x80000000u;
  }
  return select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u);
}

fn floatOf(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key ^ 0x80000000u, (key >> 31u) == 1u));
}

fn bitsOf(row: u32, id: u32) -> u32 {
  return bitcast<u32>(logits[row * params.stride + id]);
}

// Which of a word's logits count.
fn maskOf(row: u32, word: u32) -> u32 {
  let at = row * params.requestStride;
  var mask = 0xffffffffu;
  if (requests[at + 3u] == 1u) {
    mask = requests[at + 4u + word];
  }
  let left = params.cols - 32u * word;
  return select(mask & ((1u << (left & 31u)) - 1u), mask, left >= 32u);
}
