// Writes the head in `turned` to the cache as `cache-f32.wgsl` reads it; follows `rope-and-cache.wgsl`.

@group(0) @binding(6) var<storage, read_write> keys: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> values: array<vec4f>;

fn storeKey(page: u32, inPage: u32, thread: u32) {
  for (var i = thread; i < FOURS; i += THREADS) {
    keys[(page * FOURS + i) * 16u + inPage] = fourOf(i);
  }
}

fn storeValue(page: u32, inPage: u32, thread: u32) {
  for (var i = thread; i < FOURS; i += THREADS) {
    values[(page * 16u + inPage) * FOURS + i] = fourOf(i);
  }
}
