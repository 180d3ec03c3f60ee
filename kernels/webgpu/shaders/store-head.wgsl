// Writes the head in `turned` to the cache, four by four; follows `rope-and-cache.wgsl` and a `store-*.wgsl` with no scales.

fn storeKey(page: u32, inPage: u32, thread: u32) {
  for (var i = thread; i < FOURS; i += THREADS) {
    putKey(page, inPage, i, headFour(i));
  }
}

fn storeValue(page: u32, inPage: u32, thread: u32) {
  for (var i = thread; i < FOURS; i += THREADS) {
    putValue(page, inPage, i, headFour(i));
  }
}
