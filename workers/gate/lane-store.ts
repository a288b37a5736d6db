/** A lane's hashes in Redis, read at one moment and written as one with what was read. Knows nothing of what fields mean. */
import type { Command, Redis } from 'ioredis';
import { AppError } from '../../src/domain/app-error.ts';
import { createWatchingConnections, transact } from '../../src/redis/transaction.ts';
import type { FieldList } from './field-list.ts';
import { LargeCommand } from './large-command.ts';

/** A lane that keeps moving under us this often has more writers than it can serve. */
const ROUNDS_MAX = 50;

/** What a field holds; null: nothing. */
export type Held = string | null;

/** Offer → how its state names the rules that it was built under. */
export type Signatures = ReadonlyMap<number, string>;

export interface LaneReading {
  /** The position of the log that the state has; -1: the lane has no state, or is being rebuilt. */
  readonly applied: number;
  /** Of the rebuild under way, and the steps that it has taken; null: none. */
  readonly nonce: Held;
  readonly step: Held;
  /** An offer whose state was built under another signature than the one given. */
  readonly staleOfferId: number | undefined;
  /** By the fields' numbers; at 0 nothing. */
  readonly fields: readonly Held[];
}

/** By key: the fields that get a value, each before its value, and those that go. */
export type Changes = ReadonlyMap<
  string,
  { readonly set: readonly string[]; readonly removed: readonly string[] }
>;

export interface LaneStore {
  /** Everything at one moment: fields of a state that moves meanwhile would be of two positions. */
  read(signatures: Signatures, fields: FieldList): Promise<LaneReading>;
  /**
   * Writes what `plan` makes of a reading, all or nothing, unless the lane has changed since: then it is read again.
   * Undefined from `plan`: nothing is written. Resolves to the reading that decided.
   */
  update(
    signatures: Signatures,
    fields: FieldList,
    plan: (reading: LaneReading) => Changes | undefined,
  ): Promise<LaneReading>;
  /** Closes connections of its own, not `redis`. */
  close(): void;
}

function readingCommands(metaKey: string, signatures: Signatures, fields: FieldList): Command[] {
  const rules = [...signatures.keys()].map((offerId) => `sig:${offerId}`);
  return [
    new LargeCommand('hmget', [metaKey, 'applied', 'nonce', 'step', ...rules]),
    ...[...fields.byKey].map(
      ([key, numbers]) => new LargeCommand('hmget', [key, ...numbers.keys()]),
    ),
  ];
}

function parseReading(
  replies: readonly unknown[],
  signatures: Signatures,
  fields: FieldList,
): LaneReading {
  // HMGET answers with a list, one value a field.
  const [meta = [], ...lists] = replies as readonly (readonly Held[])[];
  const [applied, nonce, step, ...built] = meta;
  const stale = [...signatures].find(([, text], index) => (built[index] ?? text) !== text);
  const held: Held[] = [null];
  let list = 0;
  for (const numbers of fields.byKey.values()) {
    const values = lists[list++] ?? [];
    let at = 0;
    for (const number of numbers.values()) held[number] = values[at++] ?? null;
  }
  return {
    applied: typeof applied === 'string' ? Number(applied) : -1,
    nonce: nonce ?? null,
    step: step ?? null,
    staleOfferId: stale?.[0],
    fields: held,
  };
}

function writingCommands(changes: Changes): Command[] {
  const commands: Command[] = [];
  for (const [key, { set, removed }] of changes) {
    if (set.length > 0) commands.push(new LargeCommand('hset', [key, ...set]));
    if (removed.length > 0) commands.push(new LargeCommand('hdel', [key, ...removed]));
  }
  return commands;
}

/** `metaKey`: whoever changes anything of the lane changes it, too. */
export function createLaneStore(redis: Redis, metaKey: string): LaneStore {
  const connections = createWatchingConnections(redis);
  return {
    async read(signatures, fields) {
      const replies = await transact(redis, readingCommands(metaKey, signatures, fields));
      return parseReading(replies ?? [], signatures, fields);
    },
    async update(signatures, fields, plan) {
      for (let round = 0; round < ROUNDS_MAX; round++) {
        const decided = await connections.watching(metaKey, async (connection) => {
          const replies = await Promise.all(
            readingCommands(metaKey, signatures, fields).map((command): unknown =>
              connection.sendCommand(command),
            ),
          );
          const reading = parseReading(replies, signatures, fields);
          const changes = plan(reading);
          if (changes === undefined) return reading;
          const done = await transact(connection, writingCommands(changes));
          return done && reading;
        });
        if (decided !== undefined) return decided;
      }
      throw new AppError('GATE_BUSY', `${metaKey} changed under ${ROUNDS_MAX} attempts`);
    },
    close: () => connections.close(),
  };
}
