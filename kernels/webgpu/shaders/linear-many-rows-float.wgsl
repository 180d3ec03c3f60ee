// linear for many rows of x (prompts) and float weights: a tile of TILE × TILE results a workgroup.
//
// Four blocks of 8 columns of one segment, of TILE rows of x and of TILE weight rows, lie in workgroup memory, and each
// thread computes 8 × 8 results. Segments are walked one after the other, see `linear-group.wgsl`, which it follows. Bound
// by arithmetic: 8 × 8 results take 4 reads of workgroup memory for 64 products, as much as a thread's registers hold.

// f32 [rows, 8 · blocks], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;

const TILE: u32 = 32u;
const SIDE: u32 = TILE / 8u;
const THREADS: u32 = SIDE * SIDE;
// Vectors of four rows.
const FOURS: u32 = TILE / 4u;

// [32 columns, TILE rows / 4]
var<workgroup> xTile: array<vec4f, 32u * FOURS>;
var<workgroup> weightTile: array<vec4f, 32u * FOURS>;

// Rows beyond the end repeat the last one, and are not stored.
fn xAt(row: u32, i: u32) -> vec4f {
  return x[min(row, rowsOf(params.domain) - 1u) * (2u * params.blocks) + i];
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
  // [8 rows, 2 vectors of outputs]
  var totals = array<vec4f, 16>();
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<vec4f, 16>();
    for (var first = segment; first < params.blocks; first += 4u * params.segments) {
      workgroupBarrier();
      // A task is four columns of four rows, of x and of the weight, turned so that a column's rows lie side by side.
      for (var task = thread; task < 8u * FOURS; task += THREADS) {
        let four = task % 8u;
        let rows = task / 8u;
        let block = first + four / 2u * params.segments;
        // Beyond the last block products are zero, which changes no sum.
        var v = mat4x4f();
        var w = mat4x4f();
        if (block < params.blocks) {
          let column = 2u * block + four % 2u;
          let x0 = firstRow + 4u * rows;
          let o0 = firstOut + 4u * rows;
          v = transpose(mat4x4f(xAt(x0, column), xAt(x0 + 1u, column), xAt(x0 + 2u, column), xAt(x0 + 3u, column)));
          w = transpose(mat4x4f(rowAt(o0, column), rowAt(o0 + 1u, column), rowAt(o0 + 2u, column), rowAt(o0 + 3u, column)));
        }
        for (var j = 0u; j < 4u; j++) {
          xTile[(4u * four + j) * FOURS + rows] = v[j];
          weightTile[(4u * four + j) * FOURS + rows] = w[j];
        }
      }
      workgroupBarrier();
      for (var k = 0u; k < 32u; k++) {
        // Apart by the number of threads in that direction, so that neighbours read neighbouring vectors.
        let v0 = xTile[k * FOURS + row];
        let v1 = xTile[k * FOURS + SIDE + row];
        let w0 = weightTile[k * FOURS + o];
        let w1 = weightTile[k * FOURS + SIDE + o];
        for (var r = 0u; r < 4u; r++) {
          sums[2u * r] = fma(w0, vec4f(v0[r]), sums[2u * r]);
          sums[2u * r + 1u] = fma(w1, vec4f(v0[r]), sums[2u * r + 1u]);
          sums[2u * r + 8u] = fma(w0, vec4f(v1[r]), sums[2u * r + 8u]);
          sums[2u * r + 9u] = fma(w1, vec4f(v1[r]), sums[2u * r + 9u]);
        }
      }
    }
    for (var i = 0u; i < 16u; i++) {
      totals[i] += sums[i];
    }
  }
  for (var i = 0u; i < 16u; i++) {
    for (var j = 0u; j < 4u; j++) {
      let outRow = firstRow + 4u * (row + i / 8u * SIDE) + i % 8u / 2u;
      store(outRow, firstOut + 4u * (o + i % 2u * SIDE) + j, totals[i][j]);
    }
  }
}
