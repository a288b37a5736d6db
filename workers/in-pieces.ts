/**
 * Work on many calls in pieces, with a turn of the event loop between them: the chunk of a file has thousands of calls,
 * and a live chunk of some dozens must not wait until all of them are through.
 */
import { setImmediate as turn } from 'node:timers/promises';

/** Some 10 ms of judging. */
const PIECE = 500;

/** Calls `work` with every item, in order; what throws ends it. Few items are done within this turn. */
export async function inPieces<Item>(
  items: readonly Item[],
  work: (item: Item, index: number) => void,
): Promise<void> {
  let index = 0;
  for (const item of items) {
    if (index > 0 && index % PIECE === 0) await turn();
    work(item, index++);
  }
}
