// A tile of quantised linear by matrix units: TILE_ROWS × TILE_OUTS results of a workgroup, 8-bit activations. A kernel's own
// file says where a row of x is and where a weight row begins.
//
// One block of 32 columns of the tile's rows of x and of its weight rows lies in workgroup memory as signed bytes with its
// factors, while the next one is on its way. Subgroups multiply M × K by K × N bytes; a block's 32 columns fit the 32-bit
// integers of the result, so that it is exact, whatever M, N and K are. WGSL lets no thread see the elements of a matrix, and
// each block has scales of its own: so the products go through workgroup memory, and every thread scales and adds up those of
// one quad of outputs and some rows. Segments are walked one after the other, see `linear-group.wgsl`: the bits are those of
// the other kernels. Follows a `product-*.wgsl`, and of `matrix-*.wgsl` the operands and the product's.
//
// Bound by workgroup memory: for each result and block 8 bytes for its product there and back, some 3 to load operands (a
// subgroup loads M rows of x once for the STRIP matrices beside each other), 1.5 to keep them, 1 for factors. By `dot4I8Packed`
// it would be eight instructions. A tile of 64 × 32 fits the 16 KiB that every adapter grants; larger ones would keep operands
// for longer, but the products take what there is. Rows of products lie 8 words apart by banks, so that a matrix of 8 columns
// is stored without conflicts, and is read by quads.

const M: u32 = 8u;
const N: u32 = 8u;
const K: u32 = 8u;
const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 32u;
// A multiple of every subgroup's size.
const THREADS: u32 = 128u;
// Matrices beside each other that a subgroup multiplies by the same rows of x: a unit of its work.
const STRIP: u32 = 1u;
const UNITS_ACROSS: u32 = TILE_OUTS / (N * STRIP);
const UNITS: u32 = TILE_ROWS / M * UNITS_ACROSS;
const OPERANDS: u32 = TILE_ROWS + TILE_OUTS;
const LOADS: u32 = (OPERANDS + THREADS - 1u) / THREADS;
const QUADS: u32 = TILE_OUTS / 4u;
const QUAD_PITCH: u32 = QUADS + 2u;
// Of one quad of outputs a thread has every ROW_STEP-th row.
const ROW_STEP: u32 = THREADS / QUADS;
const ROWS: u32 = TILE_ROWS / ROW_STEP;

// [TILE_ROWS, QUAD_PITCH]
var<workgroup> products: array<vec4i, TILE_ROWS * QUAD_PITCH>;
// Of this block and of the next, which some threads keep while others still add up.
var<workgroup> factors: array<Factors, 2u * OPERANDS>;

// The thread's part of the block that comes next.
var<private> next: array<Operand, LOADS>;

fn load(firstRow: u32, firstOut: u32, block: u32, thread: u32) {
  for (var i = 0u; i < LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < TILE_ROWS) {
      next[i] = rowOperand(xRow(firstRow + at), block, params.blocks);
    } else if (at < OPERANDS) {
      next[i] = weightOperand(weightBase(firstOut + at - TILE_ROWS), block, params.blocks);
    }
  }
}

fn keep(firstFactor: u32, thread: u32) {
  for (var i = 0u; i < LOADS; i++) {
    let at = thread + i * THREADS;
    if (at < OPERANDS) {
      keepOperand(at, next[i].low, next[i].high);
      factors[firstFactor + at] = next[i].factors;
    }
  }
}

// The products of a block, of as many rows as there are; subgroups that find no unit are idle.
fn multiply(rows: u32, subgroup: u32, subgroups: u32) {
  for (var unit = subgroup; unit < UNITS; unit += subgroups) {
    let row = unit / UNITS_ACROSS * M;
    if (row >= rows) {
      return;
    }
    let o = unit % UNITS_ACROSS * (N * STRIP);
    //# for s in STRIP
    var product$s = subgroup_matrix_result<i32, N, M>();
    //# end
    for (var column = 0u; column < 32u; column += K) {
      let at = column / ELEMENT_COLUMNS;
      let left = subgroupMatrixLoad<subgroup_matrix_left<i8, K, M>, row_major>(&operands, row * PITCH + at, PITCH);
      //# for s in STRIP
      let right$s = subgroupMatrixLoad<subgroup_matrix_right<i8, N, K>, col_major>(
        &operands, (TILE_ROWS + o + $su * N) * PITCH + at, PITCH,
      );
      product$s = subgroupMatrixMultiplyAccumulate(left, right$s, product$s);
      //# end
    }
    //# for s in STRIP
    subgroupMatrixStore<row_major>(&products, row * QUAD_PITCH + (o + $su * N) / 4u, product$s, QUAD_PITCH);
    //# end
  }
}

// The thread's results: rows ROW_STEP apart from `rowInTile` on, of its quad of outputs.
fn tileResults(firstRow: u32, rows: u32, firstOut: u32, thread: u32, subgroupThreads: u32) -> array<vec4f, ROWS> {
  let quad = quadInTile(thread);
  let row = rowInTile(thread);
  var firstFactor = 0u;
  var totals = array<vec4f, ROWS>();
  load(firstRow, firstOut, 0u, thread);
  for (var segment = 0u; segment < params.segments; segment++) {
    // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
    var sums = array<vec4f, ROWS>();
    for (var block = segment; block < params.blocks; block += params.segments) {
      keep(firstFactor, thread);
      workgroupBarrier();
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var following = block + params.segments;
      following = select(following, segment + 1u, following >= params.blocks);
      load(firstRow, firstOut, min(following, params.blocks - 1u), thread);
      multiply(rows, thread / subgroupThreads, THREADS / subgroupThreads);
      workgroupBarrier();

      var scales: array<Factors, 4>;
      for (var j = 0u; j < 4u; j++) {
        scales[j] = factors[firstFactor + TILE_ROWS + 4u * quad + j];
      }
      for (var i = 0u; i < ROWS; i++) {
        let at = row + i * ROW_STEP;
        let exact = products[at * QUAD_PITCH + quad];
        let x = factors[firstFactor + at];
        sums[i] = vec4f(
          addExact(exact.x, scales[0], x, sums[i].x), addExact(exact.y, scales[1], x, sums[i].y),
          addExact(exact.z, scales[2], x, sums[i].z), addExact(exact.w, scales[3], x, sums[i].w),
        );
      }
      firstFactor = OPERANDS - firstFactor;
    }
    for (var i = 0u; i < ROWS; i++) {
      totals[i] += sums[i];
    }
  }
  return totals;
}

fn rowInTile(thread: u32) -> u32 {
  return thread / QUADS;
}

fn quadInTile(thread: u32) -> u32 {
  return thread % QUADS;
}
