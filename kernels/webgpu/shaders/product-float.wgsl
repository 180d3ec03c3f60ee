// A block's products for float weights, in the form that `linear-few-rows.wgsl` asks for.

// f32 [rows, xStride], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

struct Block {
  values: array<vec4f, 8>,
}

fn loadBlock(base: u32, block: u32) -> Block {
  var loaded: Block;
  for (var i = 0u; i < 8u; i++) {
    loaded.values[i] = weightAt(base, 8u * block + i);
  }
  return loaded;
}

// sum + the products of one block of one row.
fn addBlock(loaded: Block, row: u32, block: u32, sum: f32) -> f32 {
  let at = row * (params.xStride / 4u) + 8u * block;
  var result = sum;
  for (var i = 0u; i < 8u; i++) {
    let w = loaded.values[i];
    let v = x[at + i];
    result = fma(w.x, v.x, result);
    result = fma(w.y, v.y, result);
    result = fma(w.z, v.z, result);
    result = fma(w.w, v.w, result);
  }
  return result;
}
