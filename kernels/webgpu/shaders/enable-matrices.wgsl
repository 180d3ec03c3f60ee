// Begins a kernel that multiplies by matrix units: Dawn's experiment, in the spelling that names how rows lie.
enable subgroups;
enable chromium_experimental_subgroup_matrix;
// Which unit a subgroup takes is the same for all of its threads, but the compiler cannot see that.
diagnostic(off, chromium.subgroup_matrix_uniformity);
