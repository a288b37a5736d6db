/** What a block is answered of what its fields hold: the edges that generated histories seldom meet (gate-model.test.ts has the rest). */
import { describe, expect, test } from 'vitest';
import type { GateReply, GateRequest } from '../../src/domain/gate-request.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { askBlock } from '../../workers/gate/judge-block.ts';
import { gateRequest, gateRules } from '../support/gate-requests.ts';

const LANE = 0;
const keys = createRedisKeys('judge-block');
const caps = keys.lane.caps(LANE, 12);
const clicks = keys.lane.clicks(LANE, 12);

/** `state`: key → field → value. */
function judged(
  requests: readonly GateRequest[],
  state: Readonly<Record<string, Readonly<Record<string, string>>>> = {},
): GateReply[] {
  const { fields, judge } = askBlock(requests, keys, LANE);
  const held: (string | null)[] = [null];
  for (const [key, numbers] of fields.byKey)
    for (const [field, number] of numbers) held[number] = state[key]?.[field] ?? null;
  return judge(held);
}

const ACCEPTED = { kind: 'accepted' };
const block = (count: number, fields: Partial<GateRequest> = {}): GateRequest[] =>
  Array.from({ length: count }, (_, index) =>
    gateRequest({ hitId: `t${index + 1}`, clickId: `c${index + 1}`, ...fields }),
  );

describe('a cap', () => {
  const capped = (total: number): Partial<GateRequest> => ({
    rules: gateRules({ caps: { daily: null, monthly: null, total } }),
  });
  const reached = (limit: number, used: number, blockingTransactionId: string): object => ({
    kind: 'cap-reached',
    scope: 'goal',
    period: 'total',
    limit,
    used,
    blockingTransactionId,
  });

  // One is used, and the block asks three times.
  test.each([
    ['out of reach of the block', 5, [ACCEPTED, ACCEPTED, ACCEPTED]],
    ['that the block just fills', 4, [ACCEPTED, ACCEPTED, ACCEPTED]],
    ['that it would overshoot by one', 3, [ACCEPTED, ACCEPTED, reached(3, 3, 't2')]],
    ['that is full', 1, [1, 2, 3].map(() => reached(1, 1, 'before'))],
    ['that was lowered below its use', 0, [1, 2, 3].map(() => reached(0, 1, 'before'))],
  ])('%s', (_, total, replies) => {
    expect(judged(block(3, capped(total)), { [caps]: { 'g:ever': '1|before' } })).toEqual(replies);
  });

  test('of 0 accepts nothing, and names nobody', () => {
    expect(judged(block(1, capped(0)))).toEqual([reached(0, 0, '')]);
  });

  test('of one affiliate is not used up by others', () => {
    const rules = gateRules({ affiliateCaps: { daily: null, monthly: null, total: 1 } });
    const replies = judged(
      [1, 2, 1].map((affiliateId, index) =>
        gateRequest({ hitId: `t${index}`, clickId: `c${index}`, affiliateId, rules }),
      ),
    );
    expect(replies.slice(0, 2)).toEqual([ACCEPTED, ACCEPTED]);
    expect(replies[2]).toMatchObject({ scope: 'affiliate', blockingTransactionId: 't0' });
  });
});

test('a call that is rejected claims nothing', () => {
  const rules = gateRules({ uniqueTrackId: true, uniqueIpWindow: 'ever' });
  const of = (hitId: string, clickId: string, uniqueIp: string, trackId: string): GateRequest =>
    gateRequest({ hitId, clickId, uniqueIp, trackId, rules });
  const replies = judged([
    of('t1', 'c1', '10.0.0.1', 'k1'),
    of('t2', 'c2', '10.0.0.1', 'k2'),
    of('t3', 'c3', '10.0.0.3', 'k2'),
    of('t4', 'c4', '10.0.0.4', ''),
  ]);
  expect(replies).toEqual([
    ACCEPTED,
    { kind: 'rejected', code: 102, blockingTransactionId: 't1' },
    ACCEPTED,
    { kind: 'rejected', code: 103, blockingTransactionId: '' },
  ]);
});

describe('a click', () => {
  test.each([
    ['that is held', 't8', { kind: 'rejected', code: 101, blockingTransactionId: 't8' }],
    [
      'whose holder was released',
      '|t9|1',
      { kind: 'rejected', code: 101, blockingTransactionId: '' },
    ],
    ['all of whose transactions were', '|t9|0', ACCEPTED],
  ])('%s, when it may convert once', (_, value, reply) => {
    expect(judged(block(1), { [clicks]: { c1: value } })).toEqual([reply]);
  });

  test.each([
    ['its newest transaction', { c1: 't8|t9|2' }, 't9'],
    ['its only one', { c1: 't8' }, 't8'],
    ['one that was released', { c1: '|t9|0' }, 't9'],
  ])('is changed by %s', (_, held, transactionId) => {
    const change = gateRequest({ hitId: 't1', clickId: 'c1', mode: 'change' });
    expect(judged([change], { [clicks]: held })).toEqual([
      { kind: 'changed', transactionId, released: 'no' },
    ]);
  });

  test('is changed by the transaction that an earlier call of the block creates', () => {
    const creates = gateRequest({ hitId: 't1', clickId: 'c1', mode: 'change-or-create' });
    const changes = gateRequest({ hitId: 't2', clickId: 'c1', mode: 'change' });
    expect(judged([changes, creates, changes])).toEqual([
      { kind: 'transaction-not-found' },
      ACCEPTED,
      { kind: 'changed', transactionId: 't1', released: 'no' },
    ]);
  });
});
