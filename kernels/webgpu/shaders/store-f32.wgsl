// Writes fours of a head to the cache as `cache-f32.wgsl` reads it; with a file that declares FOURS.

@group(0) @binding(6) var<storage, read_write> keys: array<vec4f>;
const VALUES_BINDING: u32 = 7u;
@group(0) @binding(VALUES_BINDING) var<storage, read_write> values: array<vec4f>;

fn putKey(page: u32, inPage: u32, i: u32, four: vec4f) {
  keys[(page * FOURS + i) * 16u + inPage] = four;
}

fn putValue(page: u32, inPage: u32, i: u32, four: vec4f) {
  values[(page * 16u + inPage) * FOURS + i] = four;
}
