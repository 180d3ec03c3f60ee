// What the linear kernels share: out[r][o] = Σ x[r][k] · weight[o][k] + bias[o].
//
// The columns are cut into blocks, of 32 for quantised weights and of 8 for floats, and block b belongs to segment
// b mod `segments`, a number that depends on the width and that kind alone. A segment adds up its blocks in order, every block its columns in order; then the segments are added up in
// order. The kernel for few rows gives each segment to a thread, the one for many rows walks them one after the other:
// both give the same bits.

struct Params {
  blocks: u32,
  segments: u32,
  // Vectors of four words a weight row, and the first row that is meant.
  vectors: u32,
  firstRow: u32,
  outs: u32,
  outColumn: u32,
  outStride: u32,
  xStride: u32,
  domain: u32,
  hasBias: u32,
  // The limit of a gated activation, the eps of norms of heads; 0 without.
  float: f32,
}

// f32 [outs of all weights side by side]
@group(0) @binding(6) var<storage, read> bias: array<f32>;
// f32 [rows, outStride]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

fn store(row: u32, o: u32, sum: f32) {
  if (row >= rowsOf(params.domain) || o >= params.outs) {
    return;
  }
  let column = params.outColumn + o;
  var result = sum;
  if (params.hasBias == 1u) {
    result += bias[column];
  }
  out[row * params.outStride + column] = result;
}
