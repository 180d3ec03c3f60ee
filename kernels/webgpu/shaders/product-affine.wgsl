// A block's products for weights of codes, scales and mins and 8-bit activations, in the form that the linear kernels ask
// for: Σ code · activation exact in integers for all columns of a scale, 32 or 16, times that; Σ activation times the min;
// all times the scale of the activations. Follows a file that declares `dotBytes`, a `codes-*` and a `factors-*` file.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

struct Block {
  codes: Codes,
  factors: vec3f,
}

// A block of one row of x: signed bytes, their scale and, where weights have mins, their sum.
struct XBlock {
  low: vec4u,
  high: vec4u,
  scale: f32,
  sum: f32,
}

fn dotHalf(a: vec4u, b: vec4u) -> i32 {
  return dotBytes(a.x, b.x) + dotBytes(a.y, b.y) + dotBytes(a.z, b.z) + dotBytes(a.w, b.w);
}

fn loadBlock(base: u32, block: u32, blocks: u32) -> Block {
  return Block(codesOf(base, block), factorsOf(base, block, blocks));
}

fn loadRow(row: u32, block: u32, blocks: u32) -> XBlock {
  let at = row * blocks + block;
  let low = x[2u * at];
  let high = x[2u * at + 1u];
  if (!HAS_MIN) {
    return XBlock(low, high, xScales[at], 0.0);
  }
  let ones = vec4u(0x01010101u);
  return XBlock(low, high, xScales[at], f32(dotHalf(ones, low) + dotHalf(ones, high)));
}

// The scale and min of a block of weights; the scale and sum of a block of x.
alias Factors = vec2f;

// sum + a block's exact product and its min's share, scaled.
fn addExact(exact: i32, weight: Factors, row: Factors, sum: f32) -> f32 {
  return fma(fma(row.y, weight.y, f32(exact) * weight.x), row.x, sum);
}

// sum + the products of one block of one row.
fn addBlock(weight: Block, row: XBlock, sum: f32) -> f32 {
  let low = dotHalf(weight.codes.low, row.low);
  let high = dotHalf(weight.codes.high, row.high);
  if (ONE_SCALE) {
    return addExact(low + high, weight.factors.xz, vec2f(row.scale, row.sum), sum);
  }
  let both = fma(f32(high), weight.factors.y, f32(low) * weight.factors.x);
  return fma(fma(row.sum, weight.factors.z, both), row.scale, sum);
}
