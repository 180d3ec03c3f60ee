// As `matrix-operands.wgsl`, for products of 8 columns: elements of 8 bytes.

const ELEMENT_COLUMNS: u32 = 8u;
const PITCH: u32 = 6u;
var<workgroup> operands: array<vec2u, PITCH * (TILE_ROWS + TILE_OUTS)>;

fn keepOperand(row: u32, low: vec4u, high: vec4u) {
  operands[PITCH * row] = low.xy;
  operands[PITCH * row + 1u] = low.zw;
  operands[PITCH * row + 2u] = high.xy;
  operands[PITCH * row + 3u] = high.zw;
}
