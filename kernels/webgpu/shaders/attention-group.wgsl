// What the attention kernels share: a group of query heads of one row that read the same K/V head, over one split.
//
// Positions are cut into splits of 256 by absolute position. Within a split the greatest score m is found first, then the
// weights e^(score − m), their sum l and o = Σ weight · v; splits are merged from first to last:
// m' = max(m, mₛ), l' = l·e^(m−m') + lₛ·e^(mₛ−m'), o likewise. So a row's bits depend on its own positions alone.
// Source of the merge: Milakov and Gimelshein, arXiv:1805.02867.

struct Params {
  heads: u32,
  kvHeads: u32,
  // Groups that share a K/V head.
  groups: u32,
  stride: u32,
  outStride: u32,
  window: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;

const THREADS: u32 = 64u;
const HEAD_DIM: u32 = 64u;
// Query heads that one workgroup takes together.
const GROUP: u32 = 1u;
const SPLIT: u32 = 256u;
const LOWEST: f32 = -3.0e38;

// First position that a row at `position` sees.
fn firstVisible(position: u32) -> u32 {
  if (params.window == 0u || position < params.window) {
    return 0u;
  }
  return position - params.window + 1u;
}
