// A kernel's arguments, of the struct `Params` that it declares: in a uniform buffer, which every adapter has.
@group(0) @binding(0) var<uniform> params: Params;
