// linear for a few rows of x (decode): each weight is read once for ROWS rows, and each row of x once for OUTS weights.
//
// A workgroup takes OUTS · THREADS / SEGMENTS weight rows and ROWS rows of x. Thread t computes segment t mod SEGMENTS of
// OUTS weight rows, so that neighbouring threads read neighbouring blocks; then one thread a result adds up the segments.
// Follows `linear-group.wgsl` and a `product-*.wgsl`. Bound by memory: the weights.
//
// Tile sizes: loads in flight hide the memory's latency, so that a thread has OUTS · STEPS of them at a time. A matrix of few
// rows takes fewer OUTS, or there are too few workgroups for the GPU, and more STEPS. With BLOCKS a constant, compilers
// unroll the loop.

const THREADS: u32 = 128u;
const ROWS: u32 = 1u;
const OUTS: u32 = 1u;
const SEGMENTS: u32 = 32u;
// Blocks of its segment that a thread loads at a time.
const STEPS: u32 = 1u;
// Of a row; 0 where `params` tells.
const BLOCKS: u32 = 0u;
// Every turn has STEPS blocks.
const WHOLE: bool = BLOCKS != 0u && BLOCKS % (SEGMENTS * STEPS) == 0u;
// Side by side, each for OUTS weight rows.
const TEAMS: u32 = THREADS / SEGMENTS;
// One more than there are segments, so that the threads that add them up read from different banks.
const PITCH: u32 = SEGMENTS + 1u;

// [TEAMS, OUTS, ROWS], of segments each
var<workgroup> sums: array<f32, TEAMS * OUTS * ROWS * PITCH>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let firstOut = workgroupIndex(id, count) * (TEAMS * OUTS);
  if (firstOut >= params.outs) {
    return;
  }
  let blocks = select(BLOCKS, params.blocks, BLOCKS == 0u);
  let firstRow = id.z * ROWS;
  let lastRow = rowsOf(params.domain) - 1u;
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  // Rows and outputs beyond the end repeat the last one, and are not stored.
  //# for j in OUTS
  let base$j = (params.firstRow + min(firstOut + team * OUTS + $ju, params.outs - 1u)) * params.vectors;
  //# for r in ROWS
  var partial$j_$r = 0.0;
  //# end
  //# end
  for (var first = segment; first < blocks; first += SEGMENTS * STEPS) {
    // Beyond the end the last block is loaded again, and not used.
    //# for s in STEPS
    let block$s = first + $su * SEGMENTS;
    //# for j in OUTS
    let loaded$s_$j = loadBlock(base$j, select(min(block$s, blocks - 1u), block$s, WHOLE), blocks);
    //# end
    //# end
    //# for s in STEPS
    if (WHOLE || block$s < blocks) {
      //# for r in ROWS
      let row$r = loadRow(min(firstRow + $ru, lastRow), block$s, blocks);
      //# for j in OUTS
      partial$j_$r = addBlock(loaded$s_$j, row$r, partial$j_$r);
      //# end
      //# end
    }
    //# end
  }
  //# for j in OUTS
  //# for r in ROWS
  sums[((team * OUTS + $ju) * ROWS + $ru) * PITCH + segment] = partial$j_$r;
  //# end
  //# end
  workgroupBarrier();
  for (var i = thread; i < TEAMS * OUTS * ROWS; i += THREADS) {
    var total = 0.0;
    for (var s = 0u; s < SEGMENTS; s++) {
      total += sums[i * PITCH + s];
    }
    store(firstRow + i % ROWS, firstOut + i / ROWS, total);
  }
}
