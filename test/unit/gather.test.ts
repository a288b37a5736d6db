/** Clients against the edge's pace, in simulated time: what waiting may cost them, and when there is none. */
import { expect, test } from 'vitest';
import { createGather } from '../../src/edge/gather.ts';

const HIT_MS = 0.03;
const TICK_MS = 0.05;

interface Run {
  readonly hits: number;
  readonly waits: number;
  readonly ticks: number;
}

/** Hits that have come `ms` after the beginning of a phase in which so many were answered. */
type Arrivals = (ms: number, answered: number) => number;

/** One phase after the other, before the same edge; tells of the last. */
function run(...phases: readonly (readonly [lastsMs: number, arrivals: Arrivals])[]): Run {
  let atMs = 0;
  let waits = 0;
  const gather = createGather(
    () => atMs,
    (ms) => {
      waits += 1;
      atMs += ms;
    },
  );
  function phase([lastsMs, arrivals]: readonly [number, Arrivals]): Run {
    const startedMs = atMs;
    let ticks = 0;
    let answered = 0;
    waits = 0;
    while (atMs - startedMs < lastsMs) {
      const hits = Math.floor(arrivals(atMs - startedMs, answered)) - answered;
      atMs += TICK_MS + hits * HIT_MS;
      if (hits === 0) continue;
      answered += hits;
      ticks += 1;
      gather.afterTick(hits);
    }
    return { hits: answered, waits, ticks };
  }
  return phases.map(phase).at(-1) ?? { hits: 0, waits: 0, ticks: 0 };
}

/** Visitors: they come whether others have been answered or not. */
const visitors =
  (aMs: number): Arrivals =>
  (ms) =>
    ms * aMs;
/** Each sends its next request when it has its answer. */
const clients =
  (count: number): Arrivals =>
  (_ms, answered) =>
    answered + count;

test('many visitors are taken together', () => {
  const { hits, ticks } = run([20_000, visitors(8)]);
  expect(hits).toBeGreaterThan(20_000 * 8 * 0.99);
  expect(hits / ticks).toBeGreaterThan(3);
});

test('few visitors are not waited for', () => {
  expect(run([20_000, visitors(1)]).waits).toBe(0);
});

test('visitors who come in crowds are not waited for', () => {
  expect(run([20_000, clients(64)]).waits).toBe(0);
});

test.each([1, 2, 4])('%i clients that wait for their answers lose a tenth at most', (count) => {
  const alone = 20_000 / ((TICK_MS + count * HIT_MS) / count);
  expect(run([20_000, clients(count)]).hits).toBeGreaterThan(alone * 0.9);
});

test('a pause is no sign of impatient clients', () => {
  const { hits, ticks } = run([20_000, visitors(8)], [10_000, visitors(0)], [3_000, visitors(8)]);
  expect(hits / ticks).toBeGreaterThan(2);
});

test('visitors are taken together again once impatient clients have gone', () => {
  const { hits, ticks } = run([20_000, clients(1)], [20_000, visitors(8)]);
  expect(hits / ticks).toBeGreaterThan(2.5);
});
