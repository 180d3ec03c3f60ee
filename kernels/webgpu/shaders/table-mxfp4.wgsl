// What the nibbles of MXFP4 weights stand for.

// Twice 0 0.5 1 1.5 2 3 4 6, then the same negated, as bytes
const VALUES = vec4u(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
