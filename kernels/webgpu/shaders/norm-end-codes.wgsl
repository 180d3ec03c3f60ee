// Keeps a row that is normed in 8 bits alone. Follows `quantize-four.wgsl`.

fn noteNormed(values: vec4f, turn: u32, thread: u32) {
  noteFour(values, turn, thread);
}

fn normedBarrier() {
  maximaBarrier();
}

fn keepNormed(values: vec4f, four: u32, turn: u32, thread: u32) {
  storeCodes(values, four, turn, thread);
}
