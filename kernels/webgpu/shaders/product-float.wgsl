// A block's products for float weights, in the form that the linear kernels ask for.

// f32 [rows, 32 · blocks], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

// 32 columns, four a vector: no array, so that compilers keep them in registers.
struct Block {
  low: mat4x4f,
  high: mat4x4f,
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  let i = 8u * block;
  return Block(
    mat4x4f(weightAt(base, i), weightAt(base, i + 1u), weightAt(base, i + 2u), weightAt(base, i + 3u)),
    mat4x4f(weightAt(base, i + 4u), weightAt(base, i + 5u), weightAt(base, i + 6u), weightAt(base, i + 7u)),
  );
}

fn loadRow(row: u32, block: u32, blocks: u32) -> Block {
  let at = 8u * (row * blocks + block);
  return Block(
    mat4x4f(x[at], x[at + 1u], x[at + 2u], x[at + 3u]),
    mat4x4f(x[at + 4u], x[at + 5u], x[at + 6u], x[at + 7u]),
  );
}

fn addFour(w: vec4f, v: vec4f, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

fn addHalf(w: mat4x4f, v: mat4x4f, sum: f32) -> f32 {
  return addFour(w[3], v[3], addFour(w[2], v[2], addFour(w[1], v[1], addFour(w[0], v[0], sum))));
}

// sum + the products of one block of one row, column by column.
fn addBlock(weight: Block, row: Block, sum: f32) -> f32 {
  return addHalf(weight.high, row.high, addHalf(weight.low, row.low, sum));
}
