// Experts' matrices for many routes (prompts): a workgroup takes OUTS · THREADS / SEGMENTS outputs of one expert, for all
// routes that go there.
//
// Of the expert's own routes (`expert-list.wgsl`) ROWS share one reading of the weights. Sums are those of `expert-rows.wgsl`.
// Follows `expert-list.wgsl` and a `product-*.wgsl`. Bound by memory, as long as few routes go to an expert.

const THREADS: u32 = 128u;
const OUTS: u32 = 1u;
const SEGMENTS: u32 = 32u;
const ROWS: u32 = 8u;
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
  let expert = id.z;
  if (firstOut >= params.expertRows) {
    return;
  }
  let team = thread / SEGMENTS;
  let segment = thread % SEGMENTS;
  var bases = array<u32, OUTS>();
  for (var j = 0u; j < OUTS; j++) {
    bases[j] = baseOf(rowOfExpert(expert, firstOut + team * OUTS + j));
  }
  for (var start = 0u; start < rowsOf(params.domain); start += LIST) {
    let routes = note(start, expert, thread);
    for (var first = 0u; first < routes; first += ROWS) {
      let rows = min(ROWS, routes - first);
      // With a value, since not every driver sets a variable without one to zero at each turn of a loop.
      var partial = array<f32, OUTS * ROWS>();
      for (var block = segment; block < params.blocks; block += SEGMENTS) {
        var loaded: array<Block, OUTS>;
        for (var j = 0u; j < OUTS; j++) {
          loaded[j] = loadBlock(bases[j], block, params.blocks);
        }
        for (var r = 0u; r < ROWS; r++) {
          if (r < rows) {
            let row = loadRow(list[first + r] / params.sharing, block, params.blocks);
            for (var j = 0u; j < OUTS; j++) {
              partial[j * ROWS + r] = addBlock(loaded[j], row, partial[j * ROWS + r]);
            }
          }
        }
      }
      for (var i = 0u; i < OUTS * ROWS; i++) {
        sums[(team * OUTS * ROWS + i) * PITCH + segment] = partial[i];
      }
      workgroupBarrier();
      for (var i = thread; i < TEAMS * OUTS * ROWS; i += THREADS) {
        if (i % ROWS < rows) {
          var total = 0.0;
          for (var s = 0u; s < SEGMENTS; s++) {
            total += sums[i * PITCH + s];
          }
          store(list[first + i % ROWS], firstOut + i / ROWS, total);
        }
      }
      workgroupBarrier();
    }
  }
}
