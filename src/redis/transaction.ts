/**
 * Several commands as one (MULTI, EXEC), also under the condition that a key has not changed since what they depend on
 * was read (WATCH). A script would do the same, but it copies each argument into Lua and out again: of the gate's claims,
 * thousands of names a block, it took twice the time of Redis.
 */
import { Command, type Redis } from 'ioredis';

/**
 * Done at one moment, in this order; resolves to their replies. Undefined: a key that the connection watches has changed,
 * and none was done. Rejects when Redis refuses one, with none done, and when one fails while they are done.
 */
export async function transact(
  redis: Redis,
  commands: readonly Command[],
): Promise<readonly unknown[] | undefined> {
  // Sent within one turn of the event loop: no other command of this connection comes in between.
  const sent = [
    new Command('multi'),
    ...commands,
    new Command('exec', [], { replyEncoding: 'utf8' }),
  ].map((command): unknown => redis.sendCommand(command));
  const replies: unknown = (await Promise.all(sent)).at(-1);
  if (!Array.isArray(replies)) return undefined;
  const failed: unknown = replies.find((reply) => reply instanceof Error);
  if (failed instanceof Error) throw failed;
  return replies;
}

export interface WatchingConnections {
  /**
   * Watches a key on a connection of its own while `use` reads, decides and, by `transact` on that connection, writes.
   * Rejects when the connection is lost meanwhile.
   */
  watching<Result>(key: string, use: (connection: Redis) => Promise<Result>): Promise<Result>;
  close(): void;
}

/** Connections like `redis`, made when they are needed and kept for the next use. */
export function createWatchingConnections(redis: Redis): WatchingConnections {
  const all = new Set<Redis>();
  const idle: Redis[] = [];

  async function connect(): Promise<Redis> {
    // One that came back after it was lost would have forgotten what it watches, and write what no longer holds.
    const connection = redis.duplicate({
      lazyConnect: true,
      retryStrategy: () => null,
      autoResendUnfulfilledCommands: false,
    });
    // Whoever uses it sees its commands fail.
    connection.on('error', () => undefined);
    connection.once('end', () => all.delete(connection));
    all.add(connection);
    await connection.connect();
    return connection;
  }

  return {
    async watching(key, use) {
      let connection = idle.pop();
      while (connection !== undefined && connection.status !== 'ready') connection = idle.pop();
      connection ??= await connect();
      try {
        await connection.watch(key);
        const result = await use(connection);
        // What was not written in the end is not waited for any longer.
        await connection.unwatch();
        idle.push(connection);
        return result;
      } catch (error) {
        connection.disconnect();
        throw error;
      }
    },
    close() {
      for (const connection of all) connection.disconnect();
    },
  };
}
