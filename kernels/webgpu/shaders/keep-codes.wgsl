// Keeps a block of 32 columns, of which each of the first eight threads brings four: in 8 bits alone. Follows
// `quantize-four.wgsl`; all threads call it together.

fn keepBlock(values: vec4f, four: u32, thread: u32) {
  noteFour(values, 0u, thread);
  maximaBarrier();
  if (thread < 8u) {
    storeCodes(values, four, 0u, thread);
  }
}
