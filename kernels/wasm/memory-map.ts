/** Fixed addresses at the bottom of each linear memory: what the threads agree by. Everything else is allocated above. */

/** Next task of the op that runs now. */
export const TASK_COUNTER = 64;
/** Threads that have arrived at the barrier. */
export const BARRIER_ARRIVED = 128;
/** Counts barriers; a waiting thread leaves when it changes. */
export const BARRIER_GENERATION = 192;
/** Threads asleep at the barrier or for want of work. */
export const BARRIER_SLEEPERS = 256;
/** Counts runs; a worker starts when it changes. */
export const RUN_EPOCH = 320;
/** Workers asleep until the next run. */
export const RUN_SLEEPERS = 384;
/** Address of the op table to run, in its own memory. */
export const RUN_TABLE = 448;
/** Which memory's op table is to run; read in the first memory, like the epoch. */
export const RUN_MEMORY = 452;
/** Number of threads. */
export const THREADS = 512;
/** First address that the allocator may give out. */
export const HEAP_BASE = 1024;
