// What a matrix unit multiplies of a block, and what its product is multiplied by; follows `product-affine.wgsl`, for formats
// of one scale a block.

struct Operand {
  low: vec4u,
  high: vec4u,
  factors: Factors,
}

fn rowOperand(row: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadRow(row, block, blocks);
  return Operand(loaded.low, loaded.high, vec2f(loaded.scale, loaded.sum));
}

fn weightOperand(base: u32, block: u32, blocks: u32) -> Operand {
  let loaded = loadBlock(base, block, blocks);
  return Operand(loaded.codes.low, loaded.codes.high, loaded.factors.xz);
}
