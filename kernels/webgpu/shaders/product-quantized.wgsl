// A block's products for quantised weights and 8-bit activations, in the form that the linear kernels ask for: exact in
// integers, then times both scales.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

struct Block {
  codes: Codes,
  scale: f32,
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  return Block(codesOf(base, block), scaleOf(base, block, blocks));
}

fn loadRow(row: u32, block: u32, blocks: u32) -> XBlock {
  let at = row * blocks + block;
  return xBlock(x[2u * at], x[2u * at + 1u], xScales[at]);
}

// The scale of a block of weights, and that of a block of x.
alias Factors = f32;

// sum + a block's exact product, times its scales.
fn addExact(exact: i32, weight: Factors, row: Factors, sum: f32) -> f32 {
  return fma(f32(exact), weight * row, sum);
}

// sum + the products of one block of one row.
fn addBlock(weight: Block, row: XBlock, sum: f32) -> f32 {
  return addExact(dotBlock(weight.codes, row), weight.scale, row.scale, sum);
}
