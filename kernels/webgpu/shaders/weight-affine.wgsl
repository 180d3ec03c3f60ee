// Single elements of a weight of codes, scales and mins, for the embedding; follows a `codes-*` and a `factors-*` file.

fn signedByte(word: u32, i: u32) -> f32 {
  return f32(bitcast<i32>(word << (24u - 8u * i)) >> 24u);
}

// Columns 4i … 4i+3 of the row that begins at vector `base`.
fn weightAt(base: u32, i: u32) -> vec4f {
  let block = i / 8u;
  let codes = codesOf(base, block);
  let factors = factorsOf(base, block, params.blocks);
  let isHigh = (i & 4u) == 4u;
  let four = select(codes.low, codes.high, isHigh);
  let word = four[i & 3u];
  let values = vec4f(signedByte(word, 0u), signedByte(word, 1u), signedByte(word, 2u), signedByte(word, 3u));
  return values * select(factors.x, factors.y, isHigh) + factors.z;
}
