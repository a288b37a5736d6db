/** What a client sends to say which calls are meant: filters, or the `selection` that a preview gave back. */
import { z } from 'zod';
import { parseEntity } from '../../catalogue/schema.ts';
import { LANE_COUNT } from '../../domain/gate-request.ts';
import { lastPositions, type ReplaySelection } from '../../reports/replay-selection.ts';
import type { ApiContext } from '../context.ts';
import { badRequest } from '../problem.ts';

const valueSchema = z.union([z.string().max(500), z.number()]);
export const filterSchema = z
  .record(z.string().max(50), z.union([valueSchema, z.array(valueSchema).max(10_000)]))
  .describe('from, to, tz and columns of the invalid traffic report, as its parameters');

/** As `selectionText` writes it. */
const selectionSchema = z.strictObject({
  filter: z.array(z.tuple([z.string(), z.array(z.string())])),
  upTo: z.array(z.number().int().min(0)).length(LANE_COUNT),
});

export type SentFilter = z.infer<typeof filterSchema>;

function parametersOf(filter: SentFilter): Map<string, string[]> {
  const entries = Object.entries(filter).map(([name, value]): [string, string[]] => {
    const values = Array.isArray(value) ? value : [value];
    return [name === 'hit_ids' ? 'hit_id' : name, values.map(String)];
  });
  return new Map(entries.filter(([, values]) => values.length > 0));
}

export async function selectNow(
  context: Pick<ApiContext, 'clickhouse'>,
  filter: SentFilter,
): Promise<ReplaySelection> {
  const upTo = await lastPositions(context.clickhouse, LANE_COUNT);
  return { filter: parametersOf(filter), upTo };
}

/** Opaque to clients: the same text means the same calls, for as long as they are kept. */
export function selectionText({ filter, upTo }: ReplaySelection): string {
  return Buffer.from(JSON.stringify({ filter: [...filter], upTo })).toString('base64url');
}

export function parseSelection(text: string): ReplaySelection {
  const message = 'is not a selection that a preview gave';
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    throw badRequest(`selection ${message}`, [{ field: 'selection', message }]);
  }
  const parsed = parseEntity(selectionSchema, value, '');
  if ('faults' in parsed)
    throw badRequest(`selection ${message}`, [{ field: 'selection', message }]);
  return { filter: new Map(parsed.value.filter), upTo: parsed.value.upTo };
}
