// Writes the head in `turned` to the cache as `cache-i8.wgsl` reads it; follows `rope-and-cache.wgsl`. An element becomes the
// nearest multiple, of two the even one, of 1/127 of the greatest of the head.

@group(0) @binding(6) var<storage, read_write> keys: array<u32>;
const VALUES_BINDING: u32 = 7u;
@group(0) @binding(VALUES_BINDING) var<storage, read_write> values: array<u32>;

const PAGE_WORDS: u32 = 16u + 16u * FOURS;
const LEAST_SCALED: f32 = 1e-30;

// The scale, which every thread finds for itself, and its inverse; both 0 for a head of zeros.
fn scaleOfHead() -> vec2f {
  var most = 0.0;
  for (var i = 0u; i < FOURS; i++) {
    let four = abs(headFour(i));
    most = max(most, max(max(four.x, four.y), max(four.z, four.w)));
  }
  if (!(most > LEAST_SCALED)) {
    return vec2f(0.0);
  }
  // A quotient may be off by some units in the last place; what is left over corrects it.
  let near = most / 127.0;
  let step = near + fma(-127.0, near, most) / 127.0;
  return vec2f(step, 1.0 / step);
}

fn bytesOf(four: vec4f, inverse: f32) -> u32 {
  let bytes = vec4u(vec4i(round(four * inverse))) & vec4u(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

fn storeKey(page: u32, inPage: u32, thread: u32) {
  let scale = scaleOfHead();
  let at = page * PAGE_WORDS;
  if (thread == 0u) {
    keys[at + inPage] = bitcast<u32>(scale.x);
  }
  for (var i = thread; i < FOURS; i += THREADS) {
    keys[at + 16u + i * 16u + inPage] = bytesOf(headFour(i), scale.y);
  }
}

fn storeValue(page: u32, inPage: u32, thread: u32) {
  let scale = scaleOfHead();
  let at = page * PAGE_WORDS;
  if (thread == 0u) {
    values[at + inPage] = bitcast<u32>(scale.x);
  }
  for (var i = thread; i < FOURS; i += THREADS) {
    values[at + 16u + inPage * FOURS + i] = bytesOf(headFour(i), scale.y);
  }
}
