// One split of one row for a group of heads; follows `attention-group.wgsl` and a `cache-*.wgsl`, and has a `tile-weights-*.wgsl`.
//
// qkv  f32 [token rows, stride], the query heads first, as vectors
//
// Threads take a position each for the scores, and four columns of a tile each for the values, so that each key and value is
// read once for all heads of the group, and nobody waits for more than the 32 positions of a tile. Bound by memory.

@group(0) @binding(4) var<storage, read> qkv: array<vec4f>;

const THREADS: u32 = 64u;
// Pieces of four columns of a tile that a thread takes.
const PIECES: u32 = (TILES * FOURS + THREADS - 1u) / THREADS;

// [GROUP, FOURS], times the scale.
var<workgroup> query: array<vec4f, GROUP * FOURS>;
// [GROUP, SPLIT]: scores, then weights.
var<workgroup> scores: array<f32, GROUP * SPLIT>;
// [GROUP, TILES]
var<workgroup> tileWeights: array<Weights, GROUP * TILES>;
// [TILES, FOURS], of one head.
var<workgroup> tileValues: array<vec4f, TILES * FOURS>;

// o of each tile and head.
var<private> pieces: array<vec4f, PIECES * GROUP>;

fn loadQuery(row: u32, firstHead: u32, thread: u32) {
  let at = row * (params.stride / 4u) + firstHead * FOURS;
  for (var i = thread; i < GROUP * FOURS; i += THREADS) {
    query[i] = qkv[at + i] * params.scale;
  }
  workgroupBarrier();
}

// Positions `first` to `last`, all of one split: leaves `tileWeights`, and `pieces` for `showTiles`.
fn attend(slot: u32, kvHead: u32, first: u32, last: u32, thread: u32) {
  let start = first / SPLIT * SPLIT;
  for (var p = start + thread; p <= last; p += THREADS) {
    if (p >= first) {
      let page = blockOf(slot, p / 16u) * params.kvHeads + kvHead;
      var sums = array<f32, GROUP>();
      for (var i = 0u; i < FOURS; i++) {
        let key = fourOfStored(storedKey(page, i, p % 16u));
        for (var g = 0u; g < GROUP; g++) {
          let q = query[g * FOURS + i];
          sums[g] = fma(key.w, q.w, fma(key.z, q.z, fma(key.y, q.y, fma(key.x, q.x, sums[g]))));
        }
      }
      for (var g = 0u; g < GROUP; g++) {
        scores[g * SPLIT + p % SPLIT] = capped(sums[g]);
      }
    }
  }
  weighScores(first, last, thread);

  for (var piece = 0u; piece < PIECES; piece++) {
    let i = piece * THREADS + thread;
    var sums = array<vec4f, GROUP>();
    var totals = array<f32, GROUP>();
    if (i < TILES * FOURS) {
      let begin = max(first, start + i / FOURS * TILE);
      let end = min(last + 1u, start + (i / FOURS + 1u) * TILE);
      for (var p = begin; p < end; p++) {
        let page = blockOf(slot, p / 16u) * params.kvHeads + kvHead;
        let value = fourOfStored(storedValue(page, i % FOURS, p % 16u));
        for (var g = 0u; g < GROUP; g++) {
          let weight = scores[g * SPLIT + p % SPLIT];
          totals[g] += weight;
          sums[g] = fma(vec4f(weight), value, sums[g]);
        }
      }
    }
    for (var g = 0u; g < GROUP; g++) {
      // Each thread of a tile has added up its weights on the way.
      if (i < TILES * FOURS && i % FOURS == 0u) {
        tileWeights[g * TILES + i / FOURS].total = totals[g];
      }
      pieces[piece * GROUP + g] = sums[g];
    }
  }
}

// Brings head g's values of all tiles into `tileValues`.
fn showTiles(g: u32, thread: u32) {
  workgroupBarrier();
  for (var piece = 0u; piece < PIECES; piece++) {
    let i = piece * THREADS + thread;
    if (i < TILES * FOURS) {
      tileValues[i] = pieces[piece * GROUP + g];
    }
  }
  workgroupBarrier();
}

struct Attended {
  weights: Weights,
  value: vec4f,
}

// The tiles of head g merged in order, of the four columns that `showTiles` has shown.
fn mergedTiles(g: u32, four: u32) -> Attended {
  var result = Attended(Weights(LOWEST, 0.0), vec4f(0.0));
  for (var tile = 0u; tile < TILES; tile++) {
    let added = tileWeights[g * TILES + tile];
    let shares = sharesOf(result.weights, added);
    result.value = mergedValues(result.value, tileValues[tile * FOURS + four], shares);
    result.weights = merged(result.weights, added, shares);
  }
  return result;
}
