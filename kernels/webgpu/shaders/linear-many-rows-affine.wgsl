// linear for many rows of x (prompts), weights of codes, scales and mins: TILE_ROWS × TILE_OUTS results a workgroup.
//
// As `linear-many-rows-quantized.wgsl`: one block of 32 columns of the tile's rows of x and of its weight rows lies in
// workgroup memory while the next one is on its way, and segments are walked one after the other. Each thread computes 4 rows
// × 4 outputs, since a block brings two scales and a min. Follows `linear-group.wgsl` and `product-affine.wgsl`, whose
// `addBlock` it calls, so that the bits are those of a few rows. Bound by arithmetic.

const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 32u;
const ROW_THREADS: u32 = TILE_ROWS / 4u;
const OUT_THREADS: u32 = TILE_OUTS / 4u;
const THREADS: u32 = ROW_THREADS * OUT_THREADS;
const ROW_LOADS: u32 = (TILE_ROWS + THREADS - 1u) / THREADS;
const WEIGHT_LOADS: u32 = (TILE_OUTS + THREADS - 1u) / THREADS;

// [2 halves of a block, rows]
var<workgroup> xTile: array<vec4u, 2u * TILE_ROWS>;
var<workgroup> weightTile: array<vec4u, 2u * TILE_OUTS>;
// The scale of a block of x and the sum of its codes; the factors of a block of weights.
var<workgroup> xTileFactors: array<vec2f, TILE_ROWS>;
var<workgroup> weightTileFactors: array<vec3f, TILE_OUTS>;

// The thread's part of the block that comes next.
var<private> nextRows: array<XBlock, ROW_LOADS>;
var<private> nextWeights: array<Block, WEIGHT_LOADS>;

// Rows and outputs beyond the end repeat the last one, and are not stored.
fn load(firstRow: u32, firstOut: u32, block: u32, thread: u32) {
  let lastRow = rowsOf(params.domain) - 1u;
  for (var i = 0u; i < ROW_LOADS; i++) {
    nextRows[i] = loadRow(min(firstRow + thread + i * THREADS, lastRow), block, params.blocks);
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let o = min(firstOut + thread + i * THREADS, params.outs - 1u);
    nextWeights[i] = loadBlock((params.firstRow + o) * params.vectors, block, params.blocks);
  }
}

fn keep(thread: u32) {
  for (var i = 0u; i < ROW_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_ROWS) {
      xTile[at] = nextRows[i].low;
      xTile[TILE_ROWS + at] = nextRows[i].high;
      xTileFactors[at] = vec2f(nextRows[i].scale, nextRows[i].sum);
    }
  }
  for (var i = 0u; i < WEIGHT_LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_OUTS) {
      weightTile[at] = nextWeights[i].codes.low;
      weightTile[TILE_OUTS + at] = nextWeights[i].codes.high;
      weightTileFactors[at] = nextWeights[i].factors;
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
  // [4 rows, 4 outputs]
  var totals = array<f32, 16>();
  load(firstRow, firstOut, 0u, thread);
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<f32, 16>();
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
        rows[r] = XBlock(xTile[at], xTile[TILE_ROWS + at], xTileFactors[at].x, xTileFactors[at].y);
      }
      for (var j = 0u; j < 4u; j++) {
        let at = o + j * OUT_THREADS;
        let weight = Block(Codes(weightTile[at], weightTile[TILE_OUTS + at]), weightTileFactors[at]);
        for (var r = 0u; r < 4u; r++) {
          sums[4u * j + r] = addBlock(weight, rows[r], sums[4u * j + r]);
        }
      }
    }
    for (var i = 0u; i < 16u; i++) {
      totals[i] += sums[i];
    }
  }
  for (var j = 0u; j < 4u; j++) {
    for (var r = 0u; r < 4u; r++) {
      store(firstRow + row + r * ROW_THREADS, firstOut + o + j * OUT_THREADS, totals[4u * j + r]);
    }
  }
}
