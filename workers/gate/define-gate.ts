/** Gives a Lua file a typed function. KEYS and ARGV are lists; the file's header says what they mean. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { projectPath } from '../../src/project-root.ts';
import { LargeCommand } from './large-command.ts';

export interface GateScript<Reply> {
  readonly file: string;
  readonly source: string;
  run(redis: Redis, keys: readonly string[], args: readonly string[]): Promise<Reply>;
}

/** Loads `workers/gate/<file>`; `parse` maps Redis' reply to a value, and throws for a reply it does not know. */
export function defineGate<Reply>(
  file: string,
  parse: (reply: unknown) => Reply,
): GateScript<Reply> {
  const source = readFileSync(projectPath('workers', 'gate', file), 'utf8');
  const sha = createHash('sha1').update(source).digest('hex');
  return {
    file,
    source,
    async run(redis, keys, args) {
      const call = async (command: string, script: string): Promise<Reply> =>
        parse(
          await redis.sendCommand(
            new LargeCommand(command, [script, String(keys.length), ...keys, ...args]),
          ),
        );
      try {
        return await call('evalsha', sha);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
        return call('eval', source);
      }
    },
  };
}
