// x[r] += addScale · add[r]; out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) · weight[i], and with QUANTIZE the 8-bit form of out[r].
//
// x, add, out  f32 [rows, stride], as vectors; with IN_PLACE the result goes to x, and `out` is not touched
// weight       f32 [cols], as vectors
//
// The form for rows of whole blocks of 32. One workgroup a row; thread t takes columns 4t … 4t+3, 4(t + THREADS), …. Follows
// `sum-threads.wgsl` and `quantize-four.wgsl`. Bound by memory for many rows, for one by the time that a workgroup takes: hence
// many threads, and all that is read is asked for at once. Source: Zhang and Sennrich, arXiv:1910.07467.

struct Params {
  cols: u32,
  stride: u32,
  domain: u32,
  eps: f32,
  addScale: f32,
}

@group(0) @binding(4) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(5) var<storage, read> add: array<vec4f>;
@group(0) @binding(6) var<storage, read> weight: array<vec4f>;
@group(0) @binding(7) var<storage, read_write> out: array<vec4f>;

const THREADS: u32 = 256u;
const RESIDUAL: bool = false;
const IN_PLACE: bool = false;

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
  // A thread keeps its columns, and nothing is read twice.
  //# for t in TURNS
  let i$t = $tu * THREADS + thread;
  var kept$t = vec4f(0.0);
  var weight$t = vec4f(0.0);
  if (i$t < fours) {
    weight$t = weight[i$t];
    kept$t = x[at + i$t];
    if (RESIDUAL) {
      kept$t += params.addScale * add[at + i$t];
    }
  }
  //# end
  var squares = 0.0;
  //# for t in TURNS
  if (RESIDUAL && i$t < fours) {
    x[at + i$t] = kept$t;
  }
  squares = fma(kept$t.w, kept$t.w, squares);
  squares = fma(kept$t.z, kept$t.z, squares);
  squares = fma(kept$t.y, kept$t.y, squares);
  squares = fma(kept$t.x, kept$t.x, squares);
  //# end
  let scale = inverseSqrt(sumOfThreads(squares, thread) / f32(params.cols) + params.eps);
  //# for t in TURNS
  if (i$t < fours) {
    kept$t = kept$t * scale * weight$t;
    if (IN_PLACE) {
      x[at + i$t] = kept$t;
    } else {
      out[at + i$t] = kept$t;
    }
  }
  if (QUANTIZE) {
    noteFour(kept$t, $tu, thread);
  }
  //# end
  if (QUANTIZE) {
    maximaBarrier();
    //# for t in TURNS
    if (i$t < fours) {
      storeCodes(kept$t, at + i$t, $tu, thread);
    }
    //# end
  }
}
