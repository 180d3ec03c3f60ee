// Keeps a row that is normed as floats.

const TURNS: u32 = 1u;
// f32 [rows, outs], as vectors
@group(0) @binding(3) var<storage, read_write> normed: array<vec4f>;

fn noteNormed(values: vec4f, turn: u32, thread: u32) {}

fn normedBarrier() {}

fn keepNormed(values: vec4f, four: u32, turn: u32, thread: u32) {
  normed[four] = values;
}
