// What the attention kernels share: the order in which a row's positions are summed, whatever kernel takes the row.
//
// Positions are cut by absolute position into tiles of 32, and eight tiles make a split. A tile has its greatest score m, the
// weights e^(score − m), their sum l and o = Σ weight · v, both in the order of positions. Tiles are merged in order into
// their split, and splits in order into the result: m' = max(m, mₜ), l' = l·e^(m−m') + lₜ·e^(mₜ−m'), o likewise. So a row's
// bits depend on its own positions alone. A tile or split of which a row sees nothing changes no bit.
// Source of the merge: Milakov and Gimelshein, arXiv:1805.02867; of the tiles: Dao et al., arXiv:2205.14135.

struct Params {
  heads: u32,
  kvHeads: u32,
  // Groups that share a K/V head.
  groups: u32,
  stride: u32,
  outStride: u32,
  window: u32,
  scale: f32,
  softcap: f32,
}

const HEAD_DIM: u32 = 64u;
const FOURS: u32 = HEAD_DIM / 4u;
// Query heads that one workgroup takes together; they share a K/V head.
const GROUP: u32 = 1u;
const SPLIT: u32 = 256u;
const TILE: u32 = 32u;
const TILES: u32 = SPLIT / TILE;
const LOWEST: f32 = -3.0e38;
const SOFTCAP: bool = false;
const SINKS: bool = false;

// First position that a row at `position` sees.
fn firstVisible(position: u32) -> u32 {
  if (params.window == 0u || position < params.window) {
    return 0u;
  }
  return position - params.window + 1u;
}

fn capped(score: f32) -> f32 {
  if (SOFTCAP) {
    return params.softcap * tanh(clamp(score / params.softcap, -15.0, 15.0));
  }
  return score;
}

// m and l of tiles or splits so far.
struct Weights {
  most: f32,
  total: f32,
}

// What the values of both sides are to be multiplied by in their merge.
struct Shares {
  before: f32,
  added: f32,
}

fn sharesOf(before: Weights, added: Weights) -> Shares {
  let most = max(before.most, added.most);
  return Shares(exp(before.most - most), exp(added.most - most));
}

fn merged(before: Weights, added: Weights, shares: Shares) -> Weights {
  return Weights(max(before.most, added.most), fma(before.total, shares.before, added.total * shares.added));
}

fn mergedValues(before: vec4f, added: vec4f, shares: Shares) -> vec4f {
  return fma(before, vec4f(shares.before), added * shares.added);
}

// Rows that stand alone in their sequence, or all, where the heads do not suit the kernel for runs of rows.
const ALL_ROWS: bool = false;

fn attendedRows() -> u32 {
  return select(step[8], step[0], ALL_ROWS);
}

fn attendedRow(i: u32) -> u32 {
  if (ALL_ROWS) {
    return i;
  }
  return step[step[9] + i];
}

fn attendedSplits() -> u32 {
  return select(step[10], step[7], ALL_ROWS);
}
