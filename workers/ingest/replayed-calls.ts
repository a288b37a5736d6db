/**
 * The chunks of a replay name stored calls by hit id; here they become those calls under new ids. What a line names and
 * is not stored becomes malformed: one line, one row.
 */
import type { ClickHouse } from '../../clickhouse/client.ts';
import type { Chunk, ConversionHit } from '../../src/domain/hit.ts';
import type { IpStorage } from '../../src/domain/ip-storage.ts';
import type { ReplayOrigin } from '../../src/domain/judge/call.ts';
import { headOfUuidV7 } from '../../src/domain/uuid-v7.ts';
import { findOriginals, hitOfOriginal, originOf } from './originals.ts';

/**
 * The id of a replayed hit: its line's, with the time of the call that it replays, by which ids are looked up. Follows
 * from both, so that it is the same however often the chunk is delivered; lines of one replay differ in what is kept.
 */
function hitIdOfReplayLine(lineHitId: string, receivedAtMs: number): string {
  const head = headOfUuidV7(receivedAtMs);
  return head + lineHitId.slice(head.length);
}

/** The hit id that a line names, '' when it names none. */
function namedBy(hit: ConversionHit): string {
  try {
    const { hit_id: id } = JSON.parse(hit.body) as { readonly hit_id?: unknown };
    return typeof id === 'string' ? id.toLowerCase() : '';
  } catch {
    return '';
  }
}

function unnamed(hit: ConversionHit, name: string): ConversionHit {
  const line = hit.batch?.line ?? 0;
  const error = `line ${line}: ${name === '' ? 'no hit_id is named' : `no stored call has the id ${name.slice(0, 100)}`}`;
  return { ...hit, batch: { line, error: hit.batch?.error || error } };
}

export interface ReplayedCalls {
  readonly chunk: Chunk;
  readonly origins: ReadonlyMap<string, ReplayOrigin>;
}

export async function readReplayedCalls(
  clickhouse: ClickHouse,
  ips: IpStorage,
  chunk: Chunk,
): Promise<ReplayedCalls> {
  const lines = chunk.hits.filter((hit): hit is ConversionHit => hit.endpoint !== 'click');
  const names = lines.map(namedBy);
  const originals = await findOriginals(clickhouse, names);
  const origins = new Map<string, ReplayOrigin>();
  const hits = lines.map((line, index) => {
    const name = names[index] ?? '';
    const row = originals.get(name);
    if (row === undefined) return unnamed(line, name);
    const hitId = hitIdOfReplayLine(line.hitId, row.hit_ms);
    origins.set(hitId, originOf(row, ips));
    return hitOfOriginal(row, hitId, line.batch?.line, ips);
  });
  return { chunk: { header: chunk.header, hits }, origins };
}
