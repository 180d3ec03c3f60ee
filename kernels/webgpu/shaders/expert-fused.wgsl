// What the kernels share that take experts' matrices together with the op that follows, for few routes. All matrices lie in
// one buffer, and the weight row of output o of expert e is firstRow + e · expertRows + o.

struct Params {
  blocks: u32,
  // Vectors of four words a weight row.
  vectors: u32,
  firstRow: u32,
  // The same of the up part, where the other is the gate.
  firstUpRow: u32,
  expertRows: u32,
  // Columns of the result.
  outs: u32,
  outStride: u32,
  // Routes that share a row of x.
  sharing: u32,
  limit: f32,
}

// u32 [routes]
@group(0) @binding(3) var<storage, read> chosen: array<u32>;
// f32 [experts, columns of the matrices]
@group(0) @binding(6) var<storage, read> bias: array<f32>;
const BIAS: bool = false;
