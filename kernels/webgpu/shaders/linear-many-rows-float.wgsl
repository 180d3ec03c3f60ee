// linear for many rows of x (prompts) and float weights: TILE_ROWS × TILE_OUTS results a workgroup.
//
// STEP blocks of 8 columns of one segment, of the tile's rows of x and of its weight rows, lie in workgroup memory as floats
// while the next ones are on their way to registers; there are two such places in turn, so that one barrier a step is
// enough. Segments are walked one after the other, see `linear-group.wgsl`, which it follows. Bound by arithmetic, if:
//
// - Reads of workgroup memory keep up. A thread's 8 × 8 results (ROW_FOURS = OUT_FOURS = 2) take 4 reads of 16 bytes for
//   64 products, its 8 × 4 take 3 for 32, its 4 × 4 take 2 for 16. A multiprocessor that returns 128 bytes and multiplies
//   128 times a cycle would be busy with either alone for 8 × 8. Where threads t and t^1, or t and t^2, read the same
//   address, NVIDIA's take half the time (forums.developer.nvidia.com/t/77228): hence the order of threads in `main`, 4 × 8
//   to 32 of them. They read neighbouring vectors, so banks do not collide.
// - Registers hold what they should: a sum and a total a result, 128 of them for 8 × 8, which leaves some eight teams of 32
//   threads to a multiprocessor: two workgroups of 128 × 64 results, of which one multiplies while the other waits at its
//   barrier, or one of 128 × 128. The 64 independent products a column hide their own latency, and a step's products that of
//   the next step's loads. Sums have names, and loops over them are written out, so that no compiler keeps them elsewhere.
// - The caches keep up. A block of halves is half a sector of 32 bytes, and its neighbour belongs to another segment: so a
//   block of a tile costs 32 bytes for each of its rows and each of its outputs, and a larger tile halves that for each
//   product. Workgroups of the same outputs begin one after the other, so that weights come from memory once.
//
// Few outputs and rows leave most of a GPU idle with a large tile: `float-tiles.ts` gives them a smaller one. With 9 to 32
// rows there is little arithmetic to a weight, and STEP = 4 keeps more loads on their way.

// f32 [rows, 8 · blocks], as vectors
@group(0) @binding(4) var<storage, read> x: array<vec4f>;
// The weights once more, in pairs of words: four columns of halves
@group(0) @binding(3) var<storage, read> weightPairs: array<vec2u>;

const TILE_ROWS: u32 = 64u;
const TILE_OUTS: u32 = 64u;
// Vectors of four rows, and of four outputs, that a thread computes. There are 4 · n threads along the rows, 8 · n along the outputs.
const ROW_FOURS: u32 = 2u;
const OUT_FOURS: u32 = 1u;
// Blocks of a segment at a time: 1, 2 or 4.
const STEP: u32 = 2u;
// Weights are halves, of either kind.
const HALVES: bool = false;

const ROW_THREADS: u32 = TILE_ROWS / (4u * ROW_FOURS);
const OUT_THREADS: u32 = TILE_OUTS / (4u * OUT_FOURS);
const THREADS: u32 = ROW_THREADS * OUT_THREADS;
// A task is to bring four columns of four rows, of x or of the weights.
const STEP_FOURS: u32 = 2u * STEP;
const X_TASKS: u32 = TILE_ROWS / 4u * STEP_FOURS;
const TASKS: u32 = X_TASKS + TILE_OUTS / 4u * STEP_FOURS;
// Tasks of a thread: TASKS / THREADS, rounded up.
const LOADS: u32 = 1u;
const FOUR: u32 = 4u;

// [2 places, 8 · STEP columns, TILE_ROWS / 4], four rows a vector; those of column c at their number ^ `turned(c / 4)`
const X_PITCH: u32 = TILE_ROWS / 4u;
var<workgroup> xTile: array<vec4f, 16u * STEP * X_PITCH>;
const WEIGHT_PITCH: u32 = TILE_OUTS / 4u;
var<workgroup> weightTile: array<vec4f, 16u * STEP * WEIGHT_PITCH>;

// The thread's part of the step that comes next, as it lies in memory: to widen it would be to wait for it.
var<private> next: array<vec4u, 4u * LOADS>;

// Eight neighbouring tasks, which bring all columns of some rows, write to different banks.
fn turned(four: u32, pitch: u32) -> u32 {
  return (four * (4u / STEP)) & (pitch - 1u) & 7u;
}

// The tile's first row and output.
struct Corner {
  row: u32,
  o: u32,
  // Of x; rows beyond it repeat it, and are not stored.
  lastRow: u32,
}

// Outputs beyond the last one repeat it, and are not stored.
fn wordsAt(o: u32, i: u32) -> vec4u {
  let base = (params.firstRow + min(o, params.outs - 1u)) * params.vectors;
  if (HALVES) {
    return vec4u(weightPairs[2u * base + i], 0u, 0u);
  }
  return weights[base + i];
}

// `first` is the first block of a step; blocks beyond the last one repeat it, and are not used.
fn load(corner: Corner, first: u32, thread: u32) {
  //# for t in LOADS
  {
    let task = thread + $tu * THREADS;
    let four = task % STEP_FOURS;
    let column = 2u * min(first + four / 2u * params.segments, params.blocks - 1u) + four % 2u;
    if (task < X_TASKS) {
      let row = corner.row + 4u * (task / STEP_FOURS);
      //# for i in FOUR
      next[4u * $tu + $iu] = bitcast<vec4u>(x[min(row + $iu, corner.lastRow) * (2u * params.blocks) + column]);
      //# end
    } else if (task < TASKS) {
      let o = corner.o + 4u * ((task - X_TASKS) / STEP_FOURS);
      //# for i in FOUR
      next[4u * $tu + $iu] = wordsAt(o + $iu, column);
      //# end
    }
  }
  //# end
}

// To workgroup memory, turned so that a column's rows lie side by side.
fn keep(place: u32, thread: u32) {
  //# for t in LOADS
  {
    let task = thread + $tu * THREADS;
    let four = task % STEP_FOURS;
    let column = 8u * STEP * place + 4u * four;
    if (task < X_TASKS) {
      let byColumn = transpose(mat4x4f(
        bitcast<vec4f>(next[4u * $tu]),
        bitcast<vec4f>(next[4u * $tu + 1u]),
        bitcast<vec4f>(next[4u * $tu + 2u]),
        bitcast<vec4f>(next[4u * $tu + 3u]),
      ));
      let at = column * X_PITCH + ((task / STEP_FOURS) ^ turned(four, X_PITCH));
      //# for j in FOUR
      xTile[at + $ju * X_PITCH] = byColumn[$j];
      //# end
    } else if (task < TASKS) {
      let byColumn = transpose(mat4x4f(
        fourOf(next[4u * $tu]),
        fourOf(next[4u * $tu + 1u]),
        fourOf(next[4u * $tu + 2u]),
        fourOf(next[4u * $tu + 3u]),
      ));
      let at = column * WEIGHT_PITCH + (((task - X_TASKS) / STEP_FOURS) ^ turned(four, WEIGHT_PITCH));
      //# for j in FOUR
      weightTile[at + $ju * WEIGHT_PITCH] = byColumn[$j];
      //# end
    }
  }
  //# end
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let index = (id.z * count.y + id.y) * count.x + id.x;
  let rows = rowsOf(params.domain);
  let corner = Corner(index % count.z * TILE_ROWS, index / count.z * TILE_OUTS, rows - 1u);
  if (corner.o >= params.outs || corner.row >= rows) {
    return;
  }
  // 32 threads are 4 along the rows (bits 0 and 4 of their number) and 8 along the outputs (bits 1 to 3).
  let team = thread / 32u;
  let row = team / (OUT_THREADS / 8u) * 4u + (thread & 1u) + ((thread >> 3u) & 2u);
  let o = team % (OUT_THREADS / 8u) * 8u + ((thread >> 1u) & 7u);
  //# for r in ROW_FOURS
  //# for k in FOUR
  //# for h in OUT_FOURS
  var total$r_$k_$h = vec4f(0.0);
  //# end
  //# end
  //# end
  load(corner, 0u, thread);
  keep(0u, thread);
  workgroupBarrier();
  var place = 0u;
  for (var segment = 0u; segment < params.segments; segment++) {
    //# for r in ROW_FOURS
    //# for k in FOUR
    //# for h in OUT_FOURS
    var sum$r_$k_$h = vec4f(0.0);
    //# end
    //# end
    //# end
    for (var first = segment; first < params.blocks; first += STEP * params.segments) {
      // After a segment's last block comes the first of the next segment; after the last of all, none that is used.
      var after = first + STEP * params.segments;
      after = select(after, segment + 1u, after >= params.blocks);
      load(corner, after, thread);

      let blocks = (params.blocks - first + params.segments - 1u) / params.segments;
      let fours = select(2u * min(blocks, STEP), 2u, STEP == 1u);
      for (var four = 0u; four < fours; four++) {
        let columns = 8u * STEP * place + 4u * four;
        //# for r in ROW_FOURS
        let xAt$r = columns * X_PITCH + ((row + $ru * ROW_THREADS) ^ turned(four, X_PITCH));
        //# end
        //# for h in OUT_FOURS
        let weightAt$h = columns * WEIGHT_PITCH + ((o + $hu * OUT_THREADS) ^ turned(four, WEIGHT_PITCH));
        //# end
        //# for j in FOUR
        {
          //# for r in ROW_FOURS
          let v$r = xTile[xAt$r + $ju * X_PITCH];
          //# end
          //# for h in OUT_FOURS
          let w$h = weightTile[weightAt$h + $ju * WEIGHT_PITCH];
          //# end
          //# for r in ROW_FOURS
          //# for k in FOUR
          //# for h in OUT_FOURS
          sum$r_$k_$h = fma(w$h, vec4f(v$r[$k]), sum$r_$k_$h);
          //# end
          //# end
          //# end
        }
        //# end
      }
      place = 1u - place;
      keep(place, thread);
      workgroupBarrier();
    }
    //# for r in ROW_FOURS
    //# for k in FOUR
    //# for h in OUT_FOURS
    total$r_$k_$h += sum$r_$k_$h;
    //# end
    //# end
    //# end
  }
  //# for r in ROW_FOURS
  //# for k in FOUR
  //# for h in OUT_FOURS
  storeFour(corner.row + 4u * (row + $ru * ROW_THREADS) + $ku, corner.o + 4u * (o + $hu * OUT_THREADS), total$r_$k_$h);
  //# end
  //# end
  //# end
}

fn storeFour(row: u32, o: u32, results: vec4f) {
  //# for j in FOUR
  store(row, o + $ju, results[$j]);
  //# end
}
