// A block's products for quantised weights and 8-bit activations, in the form that `linear-few-rows.wgsl` asks for: exact
// in integers, then times both scales.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

struct Block {
  codes: Codes,
  scale: f32,
}

fn loadBlock(base: u32, block: u32) -> Block {
  return Block(codesOf(base, block), scaleOf(base, block, params.blocks));
}

// sum + the products of one block of one row.
fn addBlock(loaded: Block, row: u32, block: u32, sum: f32) -> f32 {
  let at = row * params.blocks + block;
  let exact = dotBlock(loaded.codes, x[2u * at], x[2u * at + 1u]);
  return fma(f32(exact), loaded.scale * xScales[at], sum);
}
