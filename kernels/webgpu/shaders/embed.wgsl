// out[r] = table[tokens[r]] · scale
//
// weights  rows firstRow … hold the table's rows firstToken … firstToken + rows, `vectors` vectors of four words each
// out      f32 [token rows, stride]
//
// One thread for four columns; a table in several buffers takes one dispatch each, and a row is written by the one that
// holds its token. Bound by memory: one row read and one written.

struct Params {
  vectors: u32,
  blocks: u32,
  firstRow: u32,
  firstToken: u32,
  rows: u32,
  cols: u32,
  stride: u32,
  scale: f32,
}

@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const THREADS: u32 = 64u;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let fours = params.stride / 4u;
  let index = workgroupIndex(id, count) * THREADS + thread;
  let row = index / fours;
  let i = index % fours;
  if (row >= rowsOf(0u)) {
    return;
  }
  let token = tokenOf(row);
  if (token < params.firstToken || token - params.firstToken >= params.rows) {
    return;
  }
  let values = weightAt((params.firstRow + token - params.firstToken) * params.vectors, i) * params.scale;
  let at = row * params.stride + 4u * i;
  for (var j = 0u; j < 4u; j++) {
    if (4u * i + j < params.cols) {
      out[at + j] = values[j];
    }
  }
}
