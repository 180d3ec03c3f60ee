// Σ code · activation over a block of 32 columns, exact; follows a file that declares `dotBytes` and one with `Codes`.

// A block of one row of x: signed bytes and their scale, and what the weights' offset is multiplied by.
struct XBlock {
  low: vec4u,
  high: vec4u,
  scale: f32,
  sum: i32,
}

fn dotHalf(a: vec4u, b: vec4u) -> i32 {
  return dotBytes(a.x, b.x) + dotBytes(a.y, b.y) + dotBytes(a.z, b.z) + dotBytes(a.w, b.w);
}

fn xBlock(low: vec4u, high: vec4u, scale: f32) -> XBlock {
  let ones = vec4u(0x01010101u);
  if (CODE_OFFSET == 0) {
    return XBlock(low, high, scale, 0);
  }
  return XBlock(low, high, scale, dotHalf(ones, low) + dotHalf(ones, high));
}

fn dotBlock(codes: Codes, x: XBlock) -> i32 {
  return dotHalf(codes.low, x.low) + dotHalf(codes.high, x.high) - CODE_OFFSET * x.sum;
}
