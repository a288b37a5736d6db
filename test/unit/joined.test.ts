/** Joined questions: what is asked meanwhile goes together, each gets its own answer, and none an old one. */
import { expect, test } from 'vitest';
import { createJoined } from '../../workers/ingest/joined.ts';

/** Answers each number by its double, a round at a time, when it is told to. */
function createDoubler() {
  const rounds: { readonly questions: readonly number[]; readonly end: (error?: Error) => void }[] =
    [];
  const ask = createJoined<number, number>(
    (questions) =>
      new Promise((resolve, reject) => {
        rounds.push({
          questions,
          end: (error) =>
            error === undefined ? resolve(questions.map((n) => 2 * n)) : reject(error),
        });
      }),
  );
  return { ask, rounds };
}

test('asks what came during an answer in one round, after it', async () => {
  const { ask, rounds } = createDoubler();
  const first = ask(1);
  await expect.poll(() => rounds.length).toBe(1);
  const later = [ask(2), ask(3), ask(2)];
  expect(rounds.length).toBe(1);
  rounds[0]?.end();
  expect(await first).toBe(2);
  await expect.poll(() => rounds.length).toBe(2);
  expect(rounds[1]?.questions).toEqual([2, 3, 2]);
  rounds[1]?.end();
  expect(await Promise.all(later)).toEqual([4, 6, 4]);
});

test('a failed round fails its own questions only', async () => {
  const { ask, rounds } = createDoubler();
  const first = ask(1);
  await expect.poll(() => rounds.length).toBe(1);
  const second = ask(2);
  rounds[0]?.end(new Error('gone'));
  await expect(first).rejects.toThrow('gone');
  await expect.poll(() => rounds.length).toBe(2);
  rounds[1]?.end();
  expect(await second).toBe(4);
});
