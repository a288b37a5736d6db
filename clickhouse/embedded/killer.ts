/**
 * Ends statements. chDB can't interrupt one of its calls, but the engine can: KILL QUERY on a Session beside it. A
 * statement is known by the comment it begins with.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import type { Session } from 'chdb';
import { quoteString } from '../quote-string.ts';

/** A statement that has only begun is not in the list of those that run yet: it is asked for again. */
const AGAIN_MS = 100;

const TAG_LENGTH = '/**/'.length + 36;

/** To begin a statement with. */
export function createTag(): string {
  return `/*${randomUUID()}*/`;
}

export interface Killer {
  /** Kills the statement that begins with `tag`, again and again until it is deleted here. */
  add(tag: string): void;
  delete(tag: string): void;
  /** Resolves when nothing of it runs any more. */
  close(): Promise<void>;
}

export function createKiller(session: Session): Killer {
  const tags = new Set<string>();
  let working: Promise<void> | undefined;

  async function work(): Promise<void> {
    while (tags.size > 0) {
      const list = [...tags].map(quoteString).join(', ');
      try {
        await session.queryAsync(
          `KILL QUERY WHERE substring(query, 1, ${TAG_LENGTH}) IN (${list}) ASYNC`,
        );
      } catch {
        // The statements' own time limits stand behind; the next round may do better.
      }
      await setTimeout(AGAIN_MS);
    }
    working = undefined;
  }

  return {
    add(tag) {
      tags.add(tag);
      working ??= work();
    },
    delete(tag) {
      tags.delete(tag);
    },
    async close() {
      tags.clear();
      await working;
    },
  };
}
