// Sums over SPAN neighbouring threads: here a thread is alone. Where subgroups are used, `span-subgroups.wgsl` takes its place.

const SPAN: u32 = 1u;

fn spanSum(value: f32) -> f32 {
  return value;
}
