// What changes from step to step, in one buffer of words. Every kernel begins with this file.
//
//   step[0]  token rows             step[4]  where the logit rows begin
//   step[1]  rows with logits       step[5]  where the block tables begin, one of step[6] words a sequence
//   step[2]  where positions begin  step[6]  words of a block table
//   step[3]  where slots begin      step[7]  attention splits that the longest context takes
//   step[8]  where the rows of the rope tables begin, one for each token
//   step[9]  the first token id

@group(0) @binding(1) var<storage, read> step: array<u32>;

// Rows of a domain: 0 all token rows, 1 the rows whose logits are wanted; 2·n more where there are n + 1 rows for each.
fn rowsOf(domain: u32) -> u32 {
  return step[domain & 1u] * ((domain >> 1u) + 1u);
}

fn tokenOf(row: u32) -> u32 {
  return step[9u + row];
}

fn positionOf(row: u32) -> u32 {
  return step[step[2] + row];
}

// The row of the rope tables by which a token is rotated.
fn ropeRowOf(row: u32) -> u32 {
  return step[step[8] + row];
}

fn slotOf(row: u32) -> u32 {
  return step[step[3] + row];
}

// The row whose logits go to row j of the logits domain.
fn logitRow(j: u32) -> u32 {
  return step[step[4] + j];
}

// The cache block that holds position 16·i of a sequence.
fn blockOf(slot: u32, i: u32) -> u32 {
  return step[step[5] + slot * step[6] + i];
}

// More workgroups than one dimension holds are folded into x and y.
fn workgroupIndex(id: vec3u, count: vec3u) -> u32 {
  return id.y * count.x + id.x;
}
