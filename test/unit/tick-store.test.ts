/** What the hits of one tick tell the chunk that is opened for them. */
import { expect, it } from 'vitest';
import { reachNothing } from '../../src/domain/crash-points.ts';
import { jsonAnswer } from '../../src/edge/answers.ts';
import { createEdgeCounters } from '../../src/edge/counters.ts';
import { createTickStore } from '../../src/edge/tick-store.ts';
import type { RecordsOrigin } from '../../src/spool/chunk-writer.ts';

it('a tick is as old as its oldest hit, also when the clock is set back within it', async () => {
  const origins: RecordsOrigin[] = [];
  const tick = createTickStore({
    writer: {
      append: (_kind, _records, origin) => void origins.push(origin),
      closeDue: () => undefined,
      oldestOpenClickMs: () => undefined,
    },
    counters: createEdgeCounters(),
    reach: reachNothing,
  });
  const answer = jsonAnswer('200 OK', {}, [], '');
  const answers = [5_000, 3_000, 4_000].map(
    (receivedAtMs) =>
      new Promise((respond) => {
        tick.add(
          { kind: 'clicks', endpoint: 'click', receivedAtMs, record: '', answer },
          1,
          respond,
        );
      }),
  );
  await Promise.all(answers);
  expect(origins).toEqual([{ receivedAtMs: 3_000, catalogueVersion: 1 }]);
});
