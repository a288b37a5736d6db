/**
 * How a result leaves the engine: the statement writes it `INTO OUTFILE` of a named pipe, and this process reads the
 * other end. So any format, framed ones and Parquet too, streams whole with bounded memory, and a reader that is slow
 * slows the engine down. (The engine's own streaming hands out formatted blocks, each with its own frame.)
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, rmSync } from 'node:fs';
import { Socket } from 'node:net';

export interface ResultPipe {
  readonly path: string;
  /**
   * Calls `consume` with the bytes as they come while `statement` runs, and resolves with its outcome once all are
   * consumed. When `stop` fires the rest is thrown away, so that an engine that writes is not held up. The reading end
   * stays open until the statement has ended: an engine that opens a pipe nobody reads waits for ever.
   */
  read<T>(
    statement: () => Promise<T>,
    consume: (chunk: Buffer) => Promise<void> | undefined,
    stop: AbortController,
  ): Promise<T>;
}

/** Hands on what comes until it is told to stop, or handing on fails; then lets the rest run out. */
async function drain(
  socket: Socket,
  consume: (chunk: Buffer) => Promise<void> | undefined,
  stop: AbortController,
): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    stop.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  // A socket without an encoding yields Buffers.
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    if (stop.signal.aborted) continue;
    try {
      const waiting = consume(chunk);
      if (waiting !== undefined) await Promise.race([waiting, stopped]);
    } catch (error) {
      stop.abort(error);
    }
  }
}

function createResultPipe(path: string): ResultPipe {
  return {
    path,
    async read(statement, consume, stop) {
      const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      // Held until the statement has ended: the end of the file then comes exactly once, also when it never wrote.
      const holder = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      const socket = new Socket({ fd: reader, readable: true, writable: false });
      const drained = drain(socket, consume, stop);
      try {
        return await statement();
      } finally {
        closeSync(holder);
        await drained;
      }
    },
  };
}

/** Makes the pipes, one for each statement that may read at once. */
export function createResultPipes(folder: string, count: number): readonly ResultPipe[] {
  const paths = Array.from({ length: count }, (_, index) => `${folder}/result-${index}`);
  for (const path of paths) rmSync(path, { force: true });
  // Node can't make a named pipe; this is a standard command of any Unix.
  execFileSync('mkfifo', ['-m', '600', ...paths]);
  return paths.map(createResultPipe);
}
