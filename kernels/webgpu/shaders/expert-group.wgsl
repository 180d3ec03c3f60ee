// What the kernels of experts' matrices share: out[p][o] = Σ x[p / sharing][k] · W[e][o][k] + bias[e][o], e = chosen[p].
//
// weights  the experts' matrices one under the other, expertRows each, of which the buffer holds `rows` from `part` on
//
// Columns are summed as in `linear-group.wgsl`: block b in segment b mod `segments`, then the segments in order. So a row's result is the same whatever rows share its expert.

struct Params {
  blocks: u32,
  segments: u32,
  // Vectors of four words a weight row, and the first row of the buffer that is meant.
  vectors: u32,
  firstRow: u32,
  part: u32,
  rows: u32,
  expertRows: u32,
  outColumn: u32,
  outStride: u32,
  biasStride: u32,
  domain: u32,
  hasBias: u32,
  // Routes that share a row of x.
  sharing: u32,
}

// f32 [experts, biasStride]
@group(0) @binding(6) var<storage, read> bias: array<f32>;
// f32 [routes, outStride]
@group(0) @binding(7) var<storage, read_write> out: array<f32>;
// u32 [routes]
@group(0) @binding(8) var<storage, read> chosen: array<u32>;

// The row of all experts' rows that makes output o; beyond the last output the last one's.
fn rowOfExpert(expert: u32, o: u32) -> u32 {
  return expert * params.expertRows + min(o, params.expertRows - 1u);
}

fn weightRow(route: u32, o: u32) -> u32 {
  return rowOfExpert(chosen[route], o);
}

fn isHere(row: u32) -> bool {
  return row >= params.part && row - params.part < params.rows;
}

// Where the row's vectors begin; of a row that another buffer holds, those of the first.
fn baseOf(row: u32) -> u32 {
  return (params.firstRow + select(0u, row - params.part, isHere(row))) * params.vectors;
}

fn store(route: u32, o: u32, sum: f32) {
  if (o >= params.expertRows || !isHere(weightRow(route, o))) {
    return;
  }
  let column = params.outColumn + o;
  var result = sum;
  if (params.hasBias == 1u) {
    result += bias[chosen[route] * params.biasStride + column];
  }
  out[route * params.outStride + column] = result;
}
