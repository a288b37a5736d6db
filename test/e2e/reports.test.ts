/** Reports against a known history: recounted row by row, paged, filtered. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiClient, createKey, type ApiClient, type Row } from '../support/api-client.ts';
import { createHistory } from '../support/report-history.ts';
import { startSluice, type RunningSluice } from '../support/start-sluice.ts';
import { insertCalls, insertClicks, runSql } from '../support/stored-rows.ts';

const SEED = 20_260_329;
const history = createHistory(SEED, 700);
const REPORTS = [
  'clicks',
  'invalid-clicks',
  'transactions',
  'invalid-traffic',
  'postbacks',
] as const;
const STORED: Readonly<Record<(typeof REPORTS)[number], readonly Row[]>> = {
  clicks: history.clicks.filter((row) => row['verdict_code'] === 0),
  'invalid-clicks': history.clicks.filter((row) => row['verdict_code'] !== 0),
  transactions: history.outcomes.filter((row) => row['row_kind'] === 'conversion'),
  'invalid-traffic': history.outcomes.filter((row) => row['row_kind'] === 'invalid'),
  postbacks: history.calls,
};

let sluice: RunningSluice;
let api: ApiClient;

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

async function pagesOf(
  path: string,
  between: (page: number) => Promise<void> = async () => undefined,
  client = api,
): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor = '';
  for (let page = 0; page < 1_000; page++) {
    const answer = await client.get(`${path}${cursor === '' ? '' : `&cursor=${cursor}`}`);
    expect(answer.status, answer.text).toBe(200);
    rows.push(...answer.rows);
    if (answer.body['next_cursor'] === null) return rows;
    cursor = textOf(answer.body['next_cursor']);
    await between(page);
  }
  throw new Error(`${path} has no end`);
}

function order(a: unknown, b: unknown): number {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a) < String(b) ? -1 : String(a) > String(b) ? 1 : 0;
}

const idsOf = (rows: readonly Row[]): string[] => rows.map((row) => String(row['hit_id']));

/** The wall clock of an instant, by the runtime's own calendar. */
function wallOf(zone: string, text: unknown): { readonly day: string; readonly hour: string } {
  const parts = new Map(
    new Intl.DateTimeFormat('en-CA', {
      timeZone: zone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
    })
      .formatToParts(Date.parse(`${String(text).replace(' ', 'T')}Z`))
      .map(({ type, value }) => [type, value]),
  );
  const day = `${parts.get('year')}-${parts.get('month')}-${parts.get('day')}`;
  return { day, hour: `${day} ${parts.get('hour')}:00` };
}

beforeAll(async () => {
  sluice = await startSluice();
  api = createApiClient(sluice, sluice.adminKey);
  await insertClicks(sluice, history.clicks);
  await insertCalls(sluice, history.calls);
}, 180_000);

afterAll(async () => {
  await sluice?.stop();
});

describe('lists', () => {
  it.each(REPORTS)('%s holds exactly its rows', async (name) => {
    const rows = await pagesOf(`/reports/${name}?limit=97`);
    expect(idsOf(rows).toSorted()).toEqual(idsOf(STORED[name]).toSorted());
    const times = rows.map((row) => String(row['hit_time']));
    expect(times).toEqual(times.toSorted().toReversed());
  });

  it('a transaction is shown as its changes left it', async () => {
    const changed = history.calls.find((row) => row['row_kind'] === 'change');
    const id = String(changed?.['transaction_id']);
    const [row] = (await api.get(`/reports/transactions?transaction_id=${id}`)).rows;
    expect(row).toMatchObject({ conv_status: 'rejected' });
    const events = (await api.get(`/reports/postbacks?transaction_id=${id}`)).rows;
    expect(events.map((event) => textOf(event['row_kind'])).toSorted()).toEqual([
      'change',
      'conversion',
    ]);
  });

  it.each([
    ['clicks', 'hit_time'],
    ['clicks', '-offer_id'],
    ['clicks', 'country'],
    ['transactions', '-payout'],
    ['transactions', 'revenue'],
    ['transactions', 'amount'],
    ['transactions', 'click_time'],
    ['postbacks', '-channel'],
    ['postbacks', 'row_kind'],
    ['postbacks', 'payout'],
  ] as const)('%s by %s, in pages: every row once, in order', async (name, sort) => {
    const rows = await pagesOf(`/reports/${name}?limit=41&sort=${sort}`);
    expect(new Set(idsOf(rows)).size).toBe(rows.length);
    expect(rows.length).toBe(STORED[name].length);
    const column = sort.replace('-', '');
    const keys = rows.map((row) => [row[column] ?? -1, String(row['hit_id'])] as const);
    const sorted = keys.toSorted(([a, x], [b, y]) => order(a, b) || order(x, y));
    expect(keys).toEqual(sort.startsWith('-') ? sorted.toReversed() : sorted);
  });

  it.each(['-hit_time', 'hit_time', 'sub_id1'])(
    'pages by %s are not shifted by rows that arrive between them',
    async (sort) => {
      const before = await pagesOf(`/reports/clicks?limit=1000&sort=${sort}&sub_id2=x`);
      const seen = await pagesOf(
        `/reports/clicks?limit=50&sort=${sort}&sub_id2=x`,
        async (page) => {
          // Before, amid and after what was read already.
          const at = [
            '2026-03-27 00:00:00.000',
            '2026-06-01 00:00:00.000',
            '2026-11-20 00:00:00.000',
          ];
          await insertClicks(
            sluice,
            at.map((hit_time, n) => ({
              hit_id: `ffffffff-${sort.length}-${page}-${n}`,
              hit_time,
              click_time: hit_time,
              offer_id: 10,
              sub_id1: ['', 'a', 'zz'][n],
              sub_id2: 'x',
              sub_id3: 'arrived',
            })),
          );
        },
      );
      const old = seen.filter((row) => row['sub_id3'] !== 'arrived');
      const known = before.filter((row) => row['sub_id3'] !== 'arrived');
      expect(idsOf(old)).toEqual(idsOf(known));
      expect(new Set(idsOf(seen)).size).toBe(seen.length);
      await runSql(
        sluice,
        "ALTER TABLE click_log DELETE WHERE sub_id3 = 'arrived' SETTINGS mutations_sync=2",
      );
    },
  );

  it('a cursor of another order or report is refused', async () => {
    const { body } = await api.get('/reports/clicks?limit=1');
    const cursor = String(body['next_cursor']);
    for (const path of [
      `/reports/clicks?sort=offer_id&cursor=${cursor}`,
      `/reports/clicks?sort=hit_time&cursor=${cursor}`,
      `/reports/transactions?cursor=${cursor}`,
      `/reports/statistics?cursor=${cursor}`,
      '/reports/clicks?cursor=nonsense',
      `/reports/clicks?cursor=${Buffer.from('["clicks:-hit_time","1 OR 1","x"]').toString('base64url')}`,
      `/reports/clicks?cursor=${Buffer.from('["clicks:-hit_time",1,2]').toString('base64url')}`,
      `/reports/clicks?cursor=${Buffer.from('{}').toString('base64url')}`,
    ])
      expect(await api.get(path), path).toMatchObject({ status: 400, fields: ['cursor'] });
  });

  it('filters by any column, several values of one, and several columns at once', async () => {
    const cases: [string, (row: Row) => boolean][] = [
      ['offer_id=10', (row) => row['offer_id'] === 10],
      ['offer_id=10&offer_id=20', () => true],
      ['country=', (row) => row['country'] === ''],
      ['country=DE&country=US&sub_id1=a', (row) => row['country'] !== '' && row['sub_id1'] === 'a'],
      ['verdict_code=0&affiliate_id=2', (row) => row['affiliate_id'] === 2],
      ['payout=1.5', (row) => row['payout'] === 1.5],
      [
        'payout=1.5000&conv_status=rejected',
        (row) => row['payout'] === 1.5 && row['conv_status'] === 'rejected',
      ],
      ['channel=postback', () => true],
      ['channel=nothing', () => false],
      [
        'promo_code=SPRING&currency=EUR',
        (row) => row['promo_code'] === 'SPRING' && row['currency'] === 'EUR',
      ],
    ];
    for (const [query, wanted] of cases) {
      const rows = await pagesOf(`/reports/transactions?limit=1000&${query}`);
      const expected = STORED.transactions.filter(wanted);
      expect(idsOf(rows).toSorted(), query).toEqual(idsOf(expected).toSorted());
    }
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=1001', 'limit'],
    ['limit=ten', 'limit'],
    ['sort=nothing', 'sort'],
    ['from=2026-02-30', 'from'],
    ['from=yesterday', 'from'],
    ['to=2026-13-01T00:00:00Z', 'to'],
    ['from=2026-01-02&to=2026-01-01T00:00:00Z', 'to'],
    ['tz=Mars/Olympus', 'tz'],
    ['tz=%2B02:00', 'tz'],
    ['format=xml', 'format'],
    ['nothing=1', 'nothing'],
    ['offer_id=x', 'offer_id'],
    ['offer_id=4294967296', 'offer_id'],
    ['verdict_code=70000', 'verdict_code'],
    ['hit_time=2026-01-01', 'hit_time'],
  ])('refuses %s and names %s', async (query, field) => {
    expect(await api.get(`/reports/clicks?${query}`)).toMatchObject({
      status: 400,
      fields: [field],
    });
  });

  it('a report that is none is 404', async () => {
    expect((await api.get('/reports/nothing')).status).toBe(404);
    expect((await api.get('/reports/constructor')).status).toBe(404);
  });
});

describe('periods', () => {
  it.each([
    [
      'from=2026-03-29&to=2026-03-29&tz=Europe/Berlin',
      '2026-03-28T23:00:00Z',
      '2026-03-29T22:00:00Z',
    ],
    [
      'from=2026-10-25&to=2026-10-25&tz=Europe/Berlin',
      '2026-10-24T22:00:00Z',
      '2026-10-25T23:00:00Z',
    ],
    [
      'from=2026-03-28&to=2026-03-29&tz=europe/berlin',
      '2026-03-27T23:00:00Z',
      '2026-03-29T22:00:00Z',
    ],
    ['from=2026-03-29&to=2026-03-29', '2026-03-29T00:00:00Z', '2026-03-30T00:00:00Z'],
    [
      'from=2026-03-29T01:00:00Z&to=2026-03-29T22:00:00Z',
      '2026-03-29T01:00:00Z',
      '2026-03-29T22:00:00Z',
    ],
    [
      'from=2026-03-29T03:00:00%2B02:00&to=2026-03-30T00:00:00%2B02:00',
      '2026-03-29T01:00:00Z',
      '2026-03-29T22:00:00Z',
    ],
    [
      'from=2026-03-29T03:00:00+02:00&to=2026-03-30T00:00:00+02:00',
      '2026-03-29T01:00:00Z',
      '2026-03-29T22:00:00Z',
    ],
    [
      'from=2026-10-25T00:00&to=2026-10-26T00:00&tz=Europe/Berlin',
      '2026-10-24T22:00:00Z',
      '2026-10-25T23:00:00Z',
    ],
    ['from=2026-10-24T22:00:00.001Z', '2026-10-24T22:00:00.001Z', '2200-01-01T00:00:00Z'],
    ['to=2026-03-29T01:00:00.001Z', '1970-01-01T00:00:00Z', '2026-03-29T01:00:00.001Z'],
  ])('%s is from %s until before %s', async (query, from, to) => {
    for (const name of ['clicks', 'transactions'] as const) {
      const rows = await pagesOf(`/reports/${name}?limit=1000&${query}`);
      const expected = STORED[name].filter((row) => {
        const ms = Date.parse(`${String(row['hit_time']).replace(' ', 'T')}Z`);
        return ms >= Date.parse(from) && ms < Date.parse(to);
      });
      expect(expected.length).toBeGreaterThan(0);
      expect(idsOf(rows).toSorted()).toEqual(idsOf(expected).toSorted());
    }
  });
});

interface Counted {
  clicks: number;
  invalid_clicks: number;
  conversions: number;
  approved: number;
  pending: number;
  rejected: number;
  invalid_traffic: number;
  payout: number;
  revenue: number;
}

/** What the report must say, counted here one row after another. */
function recount(
  groupOf: (row: Row) => string,
  wanted: (row: Row) => boolean,
): Map<string, Counted> {
  const groups = new Map<string, Counted>();
  const count = (row: Row, add: (group: Counted) => void): void => {
    if (!wanted(row)) return;
    const key = groupOf(row);
    const none = {
      clicks: 0,
      invalid_clicks: 0,
      conversions: 0,
      approved: 0,
      pending: 0,
      rejected: 0,
      invalid_traffic: 0,
      payout: 0,
      revenue: 0,
    };
    const group = groups.get(key) ?? none;
    groups.set(key, group);
    add(group);
  };
  for (const row of history.clicks)
    count(
      row,
      (group) => void (group[row['verdict_code'] === 0 ? 'clicks' : 'invalid_clicks'] += 1),
    );
  for (const row of history.outcomes)
    count(row, (group) => {
      if (row['row_kind'] === 'invalid') {
        group.invalid_traffic += 1;
        return;
      }
      group.conversions += 1;
      const status = String(row['conv_status']);
      if (status === 'approved' || status === 'pending' || status === 'rejected')
        group[status] += 1;
      group.payout += Number(row['payout']);
      group.revenue += Number(row['revenue']);
    });
  return groups;
}

describe('statistics', () => {
  const ZONE = 'Europe/Berlin';
  const COLUMNS: Readonly<Record<string, (row: Row) => string>> = {
    day: (row) => wallOf(ZONE, row['hit_time']).day,
    hour: (row) => wallOf(ZONE, row['hit_time']).hour,
    offer: (row) => String(row['offer_id']),
    goal: (row) => `${Number(row['goal_id'] ?? 0)}`,
    affiliate: (row) => String(row['affiliate_id']),
    advertiser: (row) => String(row['advertiser_id']),
    country: (row) => String(row['country']),
    device: (row) => String(row['device']),
    sub_id1: (row) => String(row['sub_id1']),
    sub_id2: (row) => String(row['sub_id2']),
    sub_id3: (row) => String(row['sub_id3']),
    sub_id4: (row) => String(row['sub_id4']),
    sub_id5: (row) => String(row['sub_id5']),
    promo_code: (row) => textOf(row['promo_code']),
    currency: (row) => textOf(row['currency']),
    verdict: (row) => String(row['verdict']),
  };

  async function compare(
    names: readonly string[],
    query: string,
    wanted: (row: Row) => boolean,
    pick: (row: Row) => Row = (row) => row,
  ): Promise<void> {
    const groupOf = (row: Row): string => names.map((name) => COLUMNS[name]?.(row)).join('|');
    const expected = recount(groupOf, wanted);
    const rows = await pagesOf(
      `/reports/statistics?tz=${ZONE}&breakdown=${names.join(',')}&limit=7&${query}`,
    );
    const keys = rows.map((row) => names.map((name) => String(row[name])).join('|'));
    expect(keys.toSorted(), query).toEqual([...expected.keys()].toSorted());
    for (const [index, row] of rows.entries()) {
      const { payout, revenue, ...counts } = expected.get(keys[index] ?? '') ?? {
        payout: 0,
        revenue: 0,
      };
      expect(row, keys[index]).toMatchObject(pick(counts));
      expect(Number(row['payout'])).toBeCloseTo(payout, 4);
      expect(Number(row['revenue'])).toBeCloseTo(revenue, 4);
      expect(Number(row['profit'])).toBeCloseTo(revenue - payout, 4);
      const clicks = Number(row['clicks']);
      expect(Number(row['cr'])).toBeCloseTo(
        clicks === 0 ? 0 : Number(row['conversions']) / clicks,
        5,
      );
    }
  }

  it.each(Object.keys(COLUMNS))('by %s are a recount of the stored rows', async (name) => {
    await compare([name], '', () => true);
  });

  it('by several breakdowns, sorted any way, are the same recount', async () => {
    for (const sort of ['day', '-clicks', 'payout', '-profit', '-cr', 'verdict'])
      await compare(['day', 'verdict', 'offer'], `sort=${sort}`, () => true);
    const rows = await pagesOf(
      '/reports/statistics?breakdown=sub_id1,sub_id2&limit=2&sort=-revenue',
    );
    const sums = rows.map((row) => Number(row['revenue']));
    expect(sums).toEqual(sums.toSorted((a, b) => b - a));
  });

  it('of one day of a zone and of filters are the recount of those rows', async () => {
    const isDay = (row: Row): boolean => wallOf(ZONE, row['hit_time']).day === '2026-10-25';
    await compare(['hour'], 'from=2026-10-25&to=2026-10-25', isDay);
    await compare(
      ['offer'],
      'from=2026-10-25&to=2026-10-25&country=DE',
      (row) => isDay(row) && row['country'] === 'DE',
    );
    await compare(['day'], 'goal_id=11', (row) => row['goal_id'] === 11);
    await compare(
      ['day'],
      'promo_code=SPRING&currency=EUR',
      (row) => row['promo_code'] === 'SPRING' && row['currency'] === 'EUR',
    );
    await compare(
      ['sub_id2'],
      'verdict=accepted&affiliate_id=1&sub_id1=a&sub_id1=b',
      (row) => row['verdict'] === 'accepted' && row['affiliate_id'] === 1 && row['sub_id1'] !== '',
    );
  });

  it('of a tenant are the recount of its rows', async () => {
    await api.send('POST', '/advertisers', { id: 1, name: 'Acme' });
    const { client } = await createKey(api, sluice, { role: 'advertiser', advertiser_id: 1 });
    const { rows } = await client.get('/reports/statistics?breakdown=offer');
    const expected = recount(
      (row) => String(row['offer_id']),
      (row) => row['advertiser_id'] === 1,
    );
    expect(rows.length).toBe(expected.size);
    for (const row of rows)
      expect(row).toMatchObject({
        clicks: expected.get(String(row['offer']))?.clicks,
        conversions: expected.get(String(row['offer']))?.conversions,
      });
  });

  it.each([
    ['breakdown=nothing', 'breakdown'],
    ['breakdown=day,day', 'breakdown'],
    ['breakdown=day,', 'breakdown'],
    ['sort=offer', 'sort'],
    ['channel=postback', 'channel'],
  ])('refuse %s and name %s', async (query, field) => {
    expect(await api.get(`/reports/statistics?${query}`)).toMatchObject({
      status: 400,
      fields: [field],
    });
  });
});
