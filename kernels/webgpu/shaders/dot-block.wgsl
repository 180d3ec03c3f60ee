// Σ code · activation over a block of 32 columns, exact; follows a file that declares `dotBytes` and one with `Codes`.

fn dotBlock(codes: Codes, low: vec4u, high: vec4u) -> i32 {
  return dotBytes(codes.low.x, low.x) + dotBytes(codes.low.y, low.y)
    + dotBytes(codes.low.z, low.z) + dotBytes(codes.low.w, low.w)
    + dotBytes(codes.high.x, high.x) + dotBytes(codes.high.y, high.y)
    + dotBytes(codes.high.z, high.z) + dotBytes(codes.high.w, high.w);
}
