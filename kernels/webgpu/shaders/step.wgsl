// What changes from step to step, in one buffer of words. Every kernel begins with this file.
//
//   step[0]  token rows                     step[6]   words of a block table
//   step[1]  rows with logits               step[7]   attention splits that the longest context takes
//   step[2]  where positions begin          step[8]   rows that stand alone in their sequence, of neighbours
//   step[3]  where slots begin              step[9]   where their list begins
//   step[4]  where the logit rows begin     step[10]  attention splits that the longest of them takes
//   step[5]  where the block tables begin   step[11]  runs of rows that follow one another in a sequence
//   step[13] where rope rows begin          step[12]  where the runs begin: first row and number of rows each
//   step[16] the first token id

@group(0) @binding(1) var<storage, read> step: array<u32>;

// Rows of a domain: 0 all token rows, 1 the rows whose logits are wanted; 2·n more where there are n + 1 rows for each.
fn rowsOf(domain: u32) -> u32 {
  return step[domain & 1u] * ((domain >> 1u) + 1u);
}

fn tokenOf(row: u32) -> u32 {
  return step[16u + row];
}

fn positionOf(row: u32) -> u32 {
  return step[step[2] + row];
}

// The row of the rope table that turns a row.
fn ropeRowOf(row: u32) -> u32 {
  return step[step[13] + row];
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
