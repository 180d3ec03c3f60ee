// Keeps a block of 32 columns, of which each of the first eight threads brings four: as floats.

// f32 [rows, columns], as vectors
@group(0) @binding(7) var<storage, read_write> kept: array<vec4f>;

fn keepBlock(values: vec4f, four: u32, thread: u32) {
  if (thread < 8u) {
    kept[four] = values;
  }
}
