// A block's products for float weights, in the form that the linear kernels ask for. A block is 8 columns here, so that
// neighbouring threads, which take neighbouring blocks, read neighbouring vectors of halves.

// f32 [rows, 8 · blocks], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

struct Block {
  low: vec4f,
  high: vec4f,
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  return Block(weightAt(base, 2u * block), weightAt(base, 2u * block + 1u));
}

fn loadRow(row: u32, block: u32, blocks: u32) -> Block {
  let at = 2u * (row * blocks + block);
  return Block(x[at], x[at + 1u]);
}

fn addFour(w: vec4f, v: vec4f, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// sum + the products of one block of one row, column by column.
fn addBlock(weight: Block, row: Block, sum: f32) -> f32 {
  return addFour(weight.high, row.high, addFour(weight.low, row.low, sum));
}
