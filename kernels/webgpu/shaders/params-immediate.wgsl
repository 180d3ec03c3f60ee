// A kernel's arguments, of the struct `Params` that it declares: in the commands themselves, so that none waits for memory.
var<immediate> params: Params;
