// linear for many rows of x (prompts), quantised weights and 8-bit activations: TILE_ROWS × TILE_OUTS results a workgroup.
//
// One block of 32 columns of the tile's rows of x and of its weight rows lies in workgroup memory as bytes with its scales,
// while the next one is on its way; each thread computes 4 rows × 8 outputs. Segments are walked one after the other, see
// `linear-group.wgsl`, which it follows. Bound by arithmetic: 8 instructions of 4 products for each result and block.
//
// Tile sizes: 4 × 8 results a thread take 24 reads of workgroup memory for 256 products of four; more results need more
// registers than a thread has, since each has a sum and a total. A thread's rows and outputs lie apart by the tile's number
// of threads in that direction, so that neighbours read neighbouring vectors.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 64u;
const ROW_THREADS: u32 = TILE_ROWS / 4u;
const OUT_THREADS: u32 = TILE_OUTS / 8u;
const THREADS: u32 = ROW_THREADS * OUT_THREADS;
const X_LOADS: u32 = (2u * TILE_ROWS + THREADS - 1u) / THREADS;
const WEIGHT_LOADS: u32 = (TILE_OUTS + THREADS - 1u) / THREADS;
const SCALE_LOADS: u32 = (TILE_ROWS + THREADS - 1u) / THREADS;

// [2 halves of a block, rows]
var<workgroup> xTile: array<vec4u, 2u * TILE_ROWS>;
var<workgroup> weightTile: array<vec4u, 2u * TILE_OUTS>;
var<workgroup> xTileScales: array<f32, TILE_ROWS>;
var<workgroup> weightTileScales: array<f32, TILE_OUTS>;

// The thread's part of the block that comes next.
var<private> nextX: array<vec4u, X_LOADS>;
var<private> nextScales: array<f32, SCALE_LOADS>;
var<private> nextCodes: array<Codes, WEIGHT_LOADS>;
var<private> nextWeightScales: array<f32, WEIGHT_LOADS>;

// Rows and outputs beyond the end repeat the last one, and are not stored.
fn load(firstRow: u32, firstOut: u32, block: u32, thread: u32) {
  let lastRow = rowsOf(params.domain) - 1u;
  for (var i = 0u; i < X_LOADS; i++) {
    let at = thread + i * THREADS;
    let row = min(firstRow + at / 2u, lastRow);
    nextX[i] = x[2u * (row * params.blocks + block) + (at & 1u)];
  }
  for (var i = 0u; i < SCALE_LOADS; i++) {
    let row = min(firstRow + thread + i * THREADS, lastRow);
    nextScales[i] = xScales[row * params.blocks + block];
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let o = min(firstOut + thread + i * THREADS, params.outs - 1u);
    let base = (params.firstRow + o) * params.vectors;
    nextCodes[i] = codesOf(base, block);
    nextWeightScales[i] = scaleOf(base, block, params.blocks);
  }
}

fn keep(thread: u32) {
  for (var i = 0u; i < X_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < 2u * TILE_ROWS) {
      xTile[(at & 1u) * TILE_ROWS + at / 2u] = nextX[i];
    }
  }
  for (var i = 0u; i < SCALE_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_ROWS) {
      xTileScales[at] = nextScales[i];
    }
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_OUTS) {
      weightTile[at] = nextCodes[i].low;
      weightTile[TILE_OUTS + at] = nextCodes[i].high;
      weightTileScales[at] = nextWeightScales[i];
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE_OUTS;
  let firstRow = id.z * TILE_ROWS;
  if (firstOut >= params.outs || firstRow >= rowsOf(params.domain)) {
    return;
  }
  let row = thread / OUT_THREADS;
  let o = thread % OUT_THREADS;
  var totals = array<vec4f, 8>();
  load(firstRow, firstOut, 0u, thread);
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<vec4f, 8>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      workgroupBarrier();
      keep(thread);
      workgroupBarrier();
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var next = block + params.segments;
      next = select(next, segment + 1u, next >= params.blocks);
      load(firstRow, firstOut, min(next, params.blocks - 1u), thread);

      var rows: array<XBlock, 4>;
      for (var r = 0u; r < 4u; r++) {
        let at = row + r * ROW_THREADS;
        rows[r] = xBlock(xTile[at], xTile[TILE_ROWS + at], xTileScales[at]);
      }
      let scales = vec4f(rows[0].scale, rows[1].scale, rows[2].scale, rows[3].scale);
      for (var j = 0u; j < 8u; j++) {
        let at = o + j * OUT_THREADS;
        let codes = Codes(weightTile[at], weightTile[TILE_OUTS + at]);
        let exact = vec4i(
          dotBlock(codes, rows[0]), dotBlock(codes, rows[1]), dotBlock(codes, rows[2]), dotBlock(codes, rows[3]),
        );
        sums[j] = fma(vec4f(exact), weightTileScales[at] * scales, sums[j]);
      }
    }
    for (var j = 0u; j < 8u; j++) {
      totals[j] += sums[j];
    }
  }
  for (var j = 0u; j < 8u; j++) {
    for (var r = 0u; r < 4u; r++) {
      store(firstRow + row + r * ROW_THREADS, firstOut + o + j * OUT_THREADS, totals[j][r]);
    }
  }
}
