// What matrix units multiply, in workgroup memory: rows of 32 signed bytes, TILE_ROWS of x and then TILE_OUTS of weights, for
// products of 16 or 32 columns. Matrices are loaded from whole elements of the array, so these are of 16 bytes; rows lie
// three of them apart, so that eight rows begin in different banks.

const ELEMENT_COLUMNS: u32 = 16u;
const PITCH: u32 = 3u;
var<workgroup> operands: array<vec4u, PITCH * (TILE_ROWS + TILE_OUTS)>;

fn keepOperand(row: u32, low: vec4u, high: vec4u) {
  operands[PITCH * row] = low;
  operands[PITCH * row + 1u] = high;
}
