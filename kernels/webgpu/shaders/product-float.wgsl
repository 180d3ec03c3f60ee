// A block's products for float weights, in the form that `linear-few-rows.wgsl` asks for.

// f32 [rows, xStride], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

// 32 columns, four a vector: no array, so that compilers keep them in registers.
struct Block {
  low: mat4x4f,
  high: mat4x4f,
}

fn loadBlock(base: u32, block: u32) -> Block {
  let i = 8u * block;
  return Block(
    mat4x4f(weightAt(base, i), weightAt(base, i + 1u), weightAt(base, i + 2u), weightAt(base, i + 3u)),
    mat4x4f(weightAt(base, i + 4u), weightAt(base, i + 5u), weightAt(base, i + 6u), weightAt(base, i + 7u)),
  );
}

fn addFour(w: vec4f, v: vec4f, sum: f32) -> f32 {
  return fma(w.w, v.w, fma(w.z, v.z, fma(w.y, v.y, fma(w.x, v.x, sum))));
}

// sum + the products of one block of one row, column by column.
fn addBlock(loaded: Block, row: u32, block: u32, sum: f32) -> f32 {
  let at = row * (params.xStride / 4u) + 8u * block;
  let a = addFour(loaded.low[1], x[at + 1u], addFour(loaded.low[0], x[at], sum));
  let b = addFour(loaded.low[3], x[at + 3u], addFour(loaded.low[2], x[at + 2u], a));
  let c = addFour(loaded.high[1], x[at + 5u], addFour(loaded.high[0], x[at + 4u], b));
  return addFour(loaded.high[3], x[at + 7u], addFour(loaded.high[2], x[at + 6u], c));
}
