// What a matrix unit multiplies of a block, and what its product is multiplied by; follows `product-quantized.wgsl`.

struct Operand {
  low: vec4u,
  high: vec4u,
  factors: Factors,
}

fn rowOperand(row: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadRow(row, block, blocks);
  return Operand(loaded.low, loaded.high, loaded.scale);
}

fn weightOperand(base: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadBlock(base, block, blocks);
  return Operand(lessOffset(loaded.codes.low), lessOffset(loaded.codes.high), loaded.scale);
}

// Sixteen codes less CODE_OFFSET, as signed bytes; with an offset they are less than 128, so no byte carries into the next.
fn lessOffset(codes: vec4u) -> vec4u {
  if (CODE_OFFSET == 0) {
    return codes;
  }
  return (codes + vec4u(0x01010101u * u32(128 - CODE_OFFSET))) ^ vec4u(0x80808080u);
}
