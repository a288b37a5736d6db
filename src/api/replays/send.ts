/** The calls of a replay on their way to the edge, as they are read: memory holds a page of them. */
import { Readable } from 'node:stream';
import type { ApiContext } from '../context.ts';
import { sendBatch, type EdgeAnswer, type EdgeBatch } from '../edge-batches.ts';

type ReplayBatch = Pick<EdgeBatch, 'author' | 'idempotencyKey' | 'suppressPostbacks'>;

/** Sends NDJSON; resolves when the replay is stored. Throws a Problem, or what made the lines end early. */
export async function sendReplay(
  gate: ApiContext['batchGate'],
  batch: ReplayBatch,
  lines: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<EdgeAnswer> {
  let failure: unknown;
  async function* watched(): AsyncGenerator<string> {
    try {
      yield* lines;
    } catch (error) {
      failure = error;
      throw error;
    }
  }
  const body = Readable.toWeb(Readable.from(watched(), { objectMode: false })) as ReadableStream;
  try {
    return await sendBatch(gate, { ...batch, kind: 'replay', advertiserId: 0, body }, signal);
  } catch (error) {
    // Where the lines come from may be what failed, not the edge.
    throw failure ?? error;
  }
}
