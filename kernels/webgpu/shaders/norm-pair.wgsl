// The norm of what a block puts out, its sum with the residual stream, and the norm of that: add[r] becomes
// add[r] / sqrt(mean(add[r]²) + addEps) · addWeight, x[r] += addScale · add[r], and with NORM
// out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) · weight[i]. With QUANTIZE the 8-bit form of out[r], too, or of x[r] without NORM.
//
// x, add, out        f32 [rows, stride], as vectors
// weight, addWeight  f32 [cols], as vectors
//
// What `norm-rows.wgsl` does twice, with the same bits, and a sum without a norm like `add-scaled.wgsl`. One workgroup a row;
// thread t takes columns 4t … 4t+3, 4(t + THREADS), …. Follows `sum-threads.wgsl` and `quantize-four.wgsl`. Bound as that is.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
  addScale: f32,
  addEps: f32,
}

@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> add: array<vec4f>;
@group(0) @binding(6) var<storage, read> weight: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(8) var<storage, read> addWeight: array<vec4f>;

const THREADS: u32 = 256u;
const NORM: bool = true;

fn addSquares(four: vec4f, sum: f32) -> f32 {
  return fma(four.x, four.x, fma(four.y, four.y, fma(four.z, four.z, fma(four.w, four.w, sum))));
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let row = workgroupIndex(id, count);
  // Where workgroups are not folded each has a row, and need not wait for the count.
  if (count.y > 1u && row >= rowsOf(params.domain)) {
    return;
  }
  let fours = params.cols / 4u;
  let at = row * fours;
  var squares = 0.0;
  // A thread keeps its columns, and nothing is read twice.
  //# for t in TURNS
  let i$t = $tu * THREADS + thread;
  var kept$t = vec4f(0.0);
  var x$t = vec4f(0.0);
  var addWeight$t = vec4f(0.0);
  if (i$t < fours) {
    kept$t = add[at + i$t];
    x$t = x[at + i$t];
    addWeight$t = addWeight[i$t];
  }
  //# end
  //# for t in TURNS
  squares = addSquares(kept$t, squares);
  //# end
  let addRoot = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.addEps);
  squares = 0.0;
  //# for t in TURNS
  kept$t = kept$t * addRoot * addWeight$t;
  if (i$t < fours) {
    add[at + i$t] = kept$t;
    kept$t = x$t + params.addScale * kept$t;
    x[at + i$t] = kept$t;
  }
  squares = addSquares(kept$t, squares);
  //# end
  if (NORM) {
    workgroupBarrier();
    let root = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.eps);
    //# for t in TURNS
    if (i$t < fours) {
      kept$t = kept$t * root * weight[i$t];
      out[at + i$t] = kept$t;
    }
    //# end
  }
  if (QUANTIZE) {
    //# for t in TURNS
    noteFour(kept$t, $tu, thread);
    //# end
    maximaBarrier();
    //# for t in TURNS
    if (i$t < fours) {
      storeCodes(kept$t, at + i$t, $tu, thread);
    }
    //# end
  }
}
