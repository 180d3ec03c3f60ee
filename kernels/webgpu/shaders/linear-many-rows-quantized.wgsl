// linear for many rows of x (prompts), quantised weights and 8-bit activations: TILE × TILE results a workgroup.
//
// One block of 32 columns of TILE rows of x and of TILE weight rows lies in workgroup memory as signed bytes with its
// scales, and each thread computes 4 × 4 results. Segments are walked one after the other, see `linear-group.wgsl`, which
// it follows. Bound by arithmetic.

// Signed bytes, two vectors a block, [rows, blocks]
@group(0) @binding(4) var<storage, read> x: array<vec4u>;
// f32 [rows, blocks]
@group(0) @binding(5) var<storage, read> xScales: array<f32>;

const TILE: u32 = 32u;
const SIDE: u32 = TILE / 4u;
const THREADS: u32 = SIDE * SIDE;

// [2 halves of a block, TILE rows]
var<workgroup> xTile: array<vec4u, 2u * TILE>;
var<workgroup> weightTile: array<vec4u, 2u * TILE>;
// [TILE]
var<workgroup> xTileScales: array<f32, TILE>;
var<workgroup> weightTileScales: array<f32, TILE>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * TILE;
  let firstRow = id.z * TILE;
  if (firstOut >= params.outs || firstRow >= rowsOf(params.domain)) {
    return;
  }
  let lastRow = rowsOf(params.domain) - 1u;
  let row = thread / SIDE;
  let o = thread % SIDE;
  var totals = array<f32, 16>();
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<f32, 16>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      workgroupBarrier();
      for (var r = thread; r < TILE; r += THREADS) {
        let at = min(firstRow + r, lastRow) * params.blocks + block;
        xTile[r] = x[2u * at];
        xTile[TILE + r] = x[2u * at + 1u];
        xTileScales[r] = xScales[at];
        let base = (params.firstRow + min(firstOut + r, params.outs - 1u)) * params.vectors;
        let codes = codesOf(base, block);
        weightTile[r] = codes.low;
        weightTile[TILE + r] = codes.high;
        weightTileScales[r] = scaleOf(base, block, params.blocks);
      }
      workgroupBarrier();
      for (var j = 0u; j < 4u; j++) {
        let codes = Codes(weightTile[4u * o + j], weightTile[TILE + 4u * o + j]);
        let scale = weightTileScales[4u * o + j];
        for (var r = 0u; r < 4u; r++) {
          let at = 4u * row + r;
          let exact = dotBlock(codes, xTile[at], xTile[TILE + at]);
          sums[4u * r + j] = fma(f32(exact), scale * xTileScales[at], sums[4u * r + j]);
        }
      }
    }
    for (var i = 0u; i < 16u; i++) {
      totals[i] += sums[i];
    }
  }
  for (var i = 0u; i < 16u; i++) {
    store(firstRow + 4u * row + i / 4u, firstOut + 4u * o + i % 4u, totals[i]);
  }
}
