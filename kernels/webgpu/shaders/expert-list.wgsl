// An expert's own routes, for a workgroup that takes all that go to one expert: it looks through the routes, LIST at a time.
// Their order in the list is as the threads happen to come, which changes no result. Follows `expert-group.wgsl`.

const LIST: u32 = 128u;

var<workgroup> list: array<u32, LIST>;
var<workgroup> listed: atomic<u32>;
var<workgroup> found: u32;

// Number of routes from `first` on that the list now holds; all threads call it together.
fn note(first: u32, expert: u32, thread: u32) -> u32 {
  if (thread == 0u) {
    atomicStore(&listed, 0u);
  }
  workgroupBarrier();
  let end = min(first + LIST, rowsOf(params.domain));
  for (var route = first + thread; route < end; route += THREADS) {
    if (chosen[route] == expert) {
      list[atomicAdd(&listed, 1u)] = route;
    }
  }
  workgroupBarrier();
  if (thread == 0u) {
    found = atomicLoad(&listed);
  }
  return workgroupUniformLoad(&found);
}
