// linear for many rows of x (prompts) and float weights: a tile of TILE × TILE results a workgroup.
//
// Blocks of 32 columns of TILE rows of x and of TILE weight rows lie in workgroup memory, and each thread computes 4 × 4
// results. Segments are walked one after the other, see `linear-group.wgsl`, which it follows. Bound by arithmetic.

// f32 [rows, xStride], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

const TILE: u32 = 32u;
const SIDE: u32 = TILE / 4u;
const THREADS: u32 = SIDE * SIDE;

// [32 columns, TILE rows / 4]
var<workgroup> xTile: array<vec4f, 32u * SIDE>;
var<workgroup> weightTile: array<vec4f, 32u * SIDE>;

// Rows beyond the end repeat the last one, and are not stored.
fn xAt(row: u32, i: u32) -> vec4f {
  return x[min(row, rowsOf(params.domain) - 1u) * (params.xStride / 4u) + i];
}

fn rowAt(o: u32, i: u32) -> vec4f {
  return weightAt((params.firstRow + min(o, params.outs - 1u)) * params.vectors, i);
}

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
  let row = thread / SIDE;
  let o = thread % SIDE;
  var totals = array<vec4f, 4>();
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<vec4f, 4>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      workgroupBarrier();
      // A task is four columns of four rows, of x and of the weight, turned so that a column's rows lie side by side.
      for (var task = thread; task < 8u * SIDE; task += THREADS) {
        let four = task % 8u;
        let rows = task / 8u;
        let column = 8u * block + four;
        let v = transpose(mat4x4f(
          xAt(firstRow + 4u * rows, column),
          xAt(firstRow + 4u * rows + 1u, column),
          xAt(firstRow + 4u * rows + 2u, column),
          xAt(firstRow + 4u * rows + 3u, column),
        ));
        let w = transpose(mat4x4f(
          rowAt(firstOut + 4u * rows, column),
          rowAt(firstOut + 4u * rows + 1u, column),
          rowAt(firstOut + 4u * rows + 2u, column),
          rowAt(firstOut + 4u * rows + 3u, column),
        ));
        for (var j = 0u; j < 4u; j++) {
          xTile[(4u * four + j) * SIDE + rows] = v[j];
          weightTile[(4u * four + j) * SIDE + rows] = w[j];
        }
      }
      workgroupBarrier();
      for (var k = 0u; k < 32u; k++) {
        let v = xTile[k * SIDE + row];
        let w = weightTile[k * SIDE + o];
        sums[0] = fma(w, vec4f(v.x), sums[0]);
        sums[1] = fma(w, vec4f(v.y), sums[1]);
        sums[2] = fma(w, vec4f(v.z), sums[2]);
        sums[3] = fma(w, vec4f(v.w), sums[3]);
      }
    }
    for (var r = 0u; r < 4u; r++) {
      totals[r] += sums[r];
    }
  }
  for (var r = 0u; r < 4u; r++) {
    for (var j = 0u; j < 4u; j++) {
      store(firstRow + 4u * row + r, firstOut + 4u * o + j, totals[r][j]);
    }
  }
}
