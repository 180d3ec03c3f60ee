/** Long compiles in slices: other work of the process goes on between them. */

/** The first slice, in milliseconds, and how much longer each next one is: what cannot be kept must fit into one. */
const FIRST_SLICE = 8;
const GROWTH = 1.1;

/** When the slice that is being worked on is over, by `performance.now()`. Work in a slice is synchronous, so one is enough. */
let sliceEnd = Number.POSITIVE_INFINITY;

/** Thrown out of work whose slice is over: it is begun again, and finds what was done kept. */
export class Preempted extends Error {
  override readonly name = 'Preempted';
}

/** True while work is done in slices. */
export function isSliced(): boolean {
  return sliceEnd !== Number.POSITIVE_INFINITY;
}

/** Called now and then by work that can be begun again. @throws Preempted when the slice is over */
export function checkSlice(): void {
  if (isSliced() && performance.now() > sliceEnd) throw new Preempted();
}

/** Does work that begins from nothing each time, and so is done at once. */
export function atOnce<T>(work: () => T): T {
  const end = sliceEnd;
  sliceEnd = Number.POSITIVE_INFINITY;
  try {
    return work();
  } finally {
    sliceEnd = end;
  }
}

/**
 * Does work that compiles grammars, with pauses. The work is called again after each pause until it comes to an end, so it
 * must do nothing else that counts.
 */
export async function inSlices<T>(work: () => T, pause = nextTurn): Promise<T> {
  let milliseconds = FIRST_SLICE;
  for (;;) {
    sliceEnd = performance.now() + milliseconds;
    try {
      return work();
    } catch (error) {
      if (!(error instanceof Preempted)) throw error;
    } finally {
      sliceEnd = Number.POSITIVE_INFINITY;
    }
    milliseconds *= GROWTH;
    await pause();
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 0);
  });
}
