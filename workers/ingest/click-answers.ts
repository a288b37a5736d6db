/**
 * What became of the clicks that calls name (invariant 3). "No such click" needs proof: the edge that minted the id has
 * published that everything it minted up to then is in ClickHouse. Until then the chunk waits, bounded; after that the
 * call is judged 108 as pending, and replayed by itself when the click arrives.
 */
import type { Redis } from 'ioredis';
import type { OpenedClickId } from '../../src/domain/click-id.ts';
import type { ClickAnswer } from '../../src/domain/judge/resolve.ts';
import type { RedisKeys } from '../../src/redis/keys.ts';
import type { ClickStore } from './click-store.ts';

/** A genuine id is waited for while its click is younger than this, or by so little in the future. */
const YOUNG_MS = 60_000;
/**
 * Older clicks are waited for only while their edge keeps saying that it still has chunks to confirm. Silence is
 * measured by who listens: a Redis that was emptied or a worker that slept say nothing about the edge.
 */
const SILENT_MS = 10_000;

export type ClickAnswers =
  | { readonly kind: 'known'; readonly answers: ReadonlyMap<string, ClickAnswer> }
  | { readonly kind: 'wait' };

interface Mark {
  readonly confirmedUpToMs: number;
  readonly publishedAtMs: number;
}

export function createClickAnswers(deps: {
  readonly clicks: ClickStore;
  readonly redis: Redis;
  readonly keys: RedisKeys;
  readonly clock: () => number;
  /** ms since any moment, which never step, for how long an edge is silent; performance.now unless a test moves it. */
  readonly monotonic?: () => number;
}) {
  const monotonic = deps.monotonic ?? (() => performance.now());

  async function readMarks(edges: readonly number[]): Promise<Map<number, Mark>> {
    const values = await deps.redis.hmget(deps.keys.edgeMarks, ...edges.map(String));
    return new Map(
      edges.map((edge, index) => {
        const [confirmedUpToMs = 0, publishedAtMs = 0] = (values[index] ?? '')
          .split(':')
          .map(Number);
        return [edge, { confirmedUpToMs, publishedAtMs }];
      }),
    );
  }

  /** What each edge published last, and since when nothing else was seen of it. */
  const heard = new Map<number, { readonly publishedAtMs: number; readonly sinceMs: number }>();

  function isSilent(edge: number, publishedAtMs: number): boolean {
    const last = heard.get(edge);
    if (last !== undefined && last.publishedAtMs === publishedAtMs)
      return monotonic() - last.sinceMs >= SILENT_MS;
    heard.set(edge, { publishedAtMs, sinceMs: monotonic() });
    return false;
  }

  /** True when the click may still come. */
  function mayCome(opened: OpenedClickId, mark: Mark | undefined): boolean {
    // Of a clock that is far ahead no id would ever be old: such a one is waited for while its edge is heard.
    if (Math.abs(deps.clock() - opened.ms) < YOUNG_MS) return true;
    return !isSilent(opened.edgeNumber, mark?.publishedAtMs ?? 0);
  }

  return async function answer(ids: ReadonlyMap<string, OpenedClickId>): Promise<ClickAnswers> {
    const answers = new Map<string, ClickAnswer>();
    if (ids.size === 0) return { kind: 'known', answers };
    // Marks before the look-up: what a mark vouches for is there when the look-up comes.
    const marks = await readMarks([
      ...new Set([...ids.values()].map(({ edgeNumber }) => edgeNumber)),
    ]);
    const found = await deps.clicks.find(ids);
    // Of all, also when one waits: several silent edges are listened to at the same time.
    let waits = false;
    for (const [id, opened] of ids) {
      const click = found.get(id);
      const mark = marks.get(opened.edgeNumber);
      if (click !== undefined) answers.set(id, click);
      else if (mark !== undefined && mark.confirmedUpToMs > opened.ms) answers.set(id, 'unknown');
      else if (mayCome(opened, mark)) waits = true;
      else answers.set(id, 'pending');
    }
    return waits ? { kind: 'wait' } : { kind: 'known', answers };
  };
}
export type AnswerClicks = ReturnType<typeof createClickAnswers>;
