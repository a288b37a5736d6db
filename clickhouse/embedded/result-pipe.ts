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
   * consumed. When `signal` fires the reading end is closed at once, which lets go of an engine that waits for it.
   */
  read<T>(
    statement: () => Promise<T>,
    consume: (chunk: Buffer) => Promise<void> | undefined,
    signal: AbortSignal,
  ): Promise<T>;
}

async function drain(
  socket: Socket,
  consume: (chunk: Buffer) => Promise<void> | undefined,
): Promise<void> {
  // A socket without an encoding yields Buffers.
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const waiting = consume(chunk);
    if (waiting !== undefined) await waiting;
  }
}

function createResultPipe(path: string): ResultPipe {
  return {
    path,
    async read(statement, consume, signal) {
      const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
      // Held until the statement has ended: the end of the file then comes exactly once, also when it never wrote.
      const holder = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
      const socket = new Socket({ fd: reader, readable: true, writable: false });
      const give = (): void => void socket.destroy();
      signal.addEventListener('abort', give, { once: true });
      const drained = drain(socket, consume).catch((error: unknown) => {
        socket.destroy();
        return { error };
      });
      try {
        return await statement();
      } finally {
        closeSync(holder);
        const failed = await drained;
        signal.removeEventListener('abort', give);
        // oxlint-disable-next-line no-unsafe-finally -- what could not be handed on outweighs a result nobody has.
        if (failed !== undefined && !signal.aborted) throw failed.error;
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
