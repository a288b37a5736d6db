/** Room for hits in work: what comes in while it is full waits, in order; nothing waits for ever. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createHitRoom } from '../../workers/ingest/hit-room.ts';

/** As many as the room of batches takes. */
const HITS_MAX = 8_000;

interface Work {
  readonly end: () => void;
  readonly done: Promise<void>;
}

/** Gives the room a chunk to work on until `end`; says when it began. */
function begin(room: ReturnType<typeof createHitRoom>, job: unknown, onBegin: () => void): Work {
  let end = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const done = room.run(job, () => {
    onBegin();
    return ended;
  });
  return { end, done };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** What a chunk takes of the room. */
const takes = (hitCount: number): number => Math.min(hitCount, HITS_MAX / 2);

test('chunks are worked on in order, as many as there is room for, two of any size', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 2 * HITS_MAX }), { minLength: 1, maxLength: 12 }),
      async (sizes) => {
        const room = createHitRoom('batches');
        const begun: number[] = [];
        const works = sizes.map((hitCount, index) =>
          begin(room, { hitCount }, () => begun.push(index)),
        );
        for (const [index, work] of works.entries()) {
          await turn();
          const inWork = begun.slice(index).map((chunk) => takes(sizes[chunk] ?? 0));
          const taken = inWork.reduce((sum, size) => sum + size, 0);
          expect(taken).toBeLessThanOrEqual(HITS_MAX);
          expect(inWork.length).toBeGreaterThanOrEqual(Math.min(2, sizes.length - index));
          const next = sizes[begun.length];
          if (next !== undefined) expect(taken + takes(next)).toBeGreaterThan(HITS_MAX);
          work.end();
          await work.done;
        }
        expect(begun).toEqual(sizes.map((_, index) => index));
      },
    ),
    { numRuns: 50 },
  );
});

test.each([
  ['nothing', undefined],
  ['null', null],
  ['no number', { hitCount: 'many' }],
  ['a number below one', { hitCount: -5 }],
  ['no number at all', { hitCount: NaN }],
])('a job that says %s of its hits is worked on', async (_, job) => {
  const room = createHitRoom('batches');
  await expect(room.run(job, () => Promise.resolve('done'))).resolves.toBe('done');
});

test('work that fails makes room', async () => {
  const room = createHitRoom('batches');
  const job = { hitCount: HITS_MAX };
  await expect(room.run(job, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(room.run(job, () => Promise.resolve('done'))).resolves.toBe('done');
});
