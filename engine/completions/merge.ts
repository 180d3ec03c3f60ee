/** Several streams as one. */

/**
 * What the sources give, in the order in which it comes; all of them are read side by side. Leaving early, and an error of
 * one of them, ends the others.
 */
export async function* merged<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T, void, undefined> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const read = (index: number) => iterators[index].next().then((result) => ({ index, result }));
  const reads = new Map(iterators.map((_, index) => [index, read(index)]));
  try {
    while (reads.size > 0) {
      const { index, result } = await Promise.race(reads.values());
      if (result.done) {
        reads.delete(index);
      } else {
        reads.set(index, read(index));
        yield result.value;
      }
    }
  } finally {
    for (const pending of reads.values()) pending.catch(() => {});
    await Promise.all(iterators.map((iterator) => iterator.return?.()));
  }
}
