/**
 * Why a stored call got its verdict: the request as received and every check in order, traced again under the catalogue
 * version that it was judged under. The stored verdict stands; the trace only shows the way to it.
 */
import type { ClickHouse, QueryParameters } from '../../../clickhouse/client.ts';
import { snapshotOfAdvertiser } from '../../domain/catalogue.ts';
import { createClickIdCodec, type ClickIdCodec } from '../../domain/click-id.ts';
import type { BatchOrigin, Endpoint } from '../../domain/hit.ts';
import { decodeCall } from '../../domain/judge/call.ts';
import { judgeCall, traceCall, traceGate, type TracedCheck } from '../../domain/judge/judge.ts';
import { lookupsOf, type ClickAnswer, type StoredClick } from '../../domain/judge/resolve.ts';
import { traceClick } from '../../domain/trace-click.ts';
import { msOfUuidV7, TIME_SLACK_MS } from '../../domain/uuid-v7.ts';
import { isVerdictSlug, type VerdictSlug } from '../../domain/verdicts.ts';
import { REPORTS } from '../../reports/definitions.ts';
import { hiddenColumnsOf, ownsRow, tenancyOf, type Principal } from '../../reports/principal.ts';
import {
  batchOf,
  findOriginals,
  hitOfOriginal,
  originOf,
  type OriginalRow,
} from '../../../workers/ingest/originals.ts';
import { findTransactions } from '../../../workers/ingest/transactions.ts';
import type { ApiContext } from '../context.ts';
import { badRequest, notFound } from '../problem.ts';
import { findClick, textOf, whereClick, type Row } from './click.ts';

type ExplainContext = Pick<ApiContext, 'clickhouse' | 'store' | 'ips'>;

/**
 * An edge whose clock was set back goes on with ids of the time before. Clicks have no index on the ids of hits: of one that
 * is nowhere near its id's time so much is read, and not all that there ever was.
 */
const STEP_MS_MAX = 86_400_000;

/** What a call can be asked for by, and the column that holds it. */
export const EXPLAIN_KEYS: ReadonlyMap<string, string> = new Map([
  ['hit_id', 'hit_id'],
  ['click_id', 'click_id'],
  ['transaction_id', 'transaction_id'],
  ['order_id', 'adv_order_id'],
]);
export const REQUEST_FIELDS = [
  'endpoint',
  'method',
  'path',
  'query',
  'body',
  'content_type',
  'cookies',
  'ip',
  'user_agent',
  'referer',
  'channel',
] as const;
/** Calls of one click or order that an answer holds. */
export const CALLS_MAX = 100;

/**
 * By time, spelled so that the engine does not look for the oldest rows before it looks for the id: then it reads all
 * eighty columns of every row.
 */
const OLDEST_FIRST = 'toUnixTimestamp64Milli(hit_time), hit_id';

/** All columns of a stored call; typed are those that it is judged by again. */
type StoredCall = Row & OriginalRow;

/** A replay may do what the call that it replays might: its own batch is only who asked for it. */
async function broughtBy(
  context: ExplainContext,
  row: StoredCall,
): Promise<BatchOrigin | undefined> {
  const { replayed_from: original } = row;
  if (original === '') return batchOf(row);
  const found = (await findOriginals(context.clickhouse, [original])).get(original);
  return found && batchOf(found);
}

/** A replay whose original counted before was not judged at all. */
function isRepeat(row: Row): boolean {
  const original = textOf(row, 'replayed_from');
  const isIt = original !== '' && row['verdict'] === ('multiple_conversions' satisfies VerdictSlug);
  return isIt && textOf(row, 'detail').includes(original);
}

/** The newest replay of a call, '' when there is none: of a replay, of the call that it replays. */
async function replayOf(context: ExplainContext, row: Row): Promise<string> {
  const original = textOf(row, 'replayed_from') || textOf(row, 'hit_id');
  const [replay] = await context.clickhouse.query<{ hit_id: string }>(
    `SELECT hit_id FROM postback_log WHERE hit_time = {time:DateTime64(3, 'UTC')} AND replayed_from > '' AND replayed_from = {original:String}
     ORDER BY row_kind != 'invalid' DESC, block_time DESC, position DESC, block_row DESC LIMIT 1`,
    { original, time: textOf(row, 'hit_time') },
  );
  return replay === undefined || replay.hit_id === row['hit_id'] ? '' : replay.hit_id;
}

/**
 * The trace has less to go on than the judge had: tokens are blanked, and what is looked up may have arrived since.
 * Where the two differ the stored verdict is shown, at its check when that is known.
 */
function agreeWith(checks: readonly TracedCheck[], row: Row): readonly TracedCheck[] {
  const accepted = row['verdict_code'] === 0;
  const failedAt = checks.findIndex(({ outcome }) => outcome === 'failed');
  if (accepted === (failedAt === -1)) return checks;
  if (accepted)
    return checks.map((check) =>
      check.outcome === 'failed'
        ? { ...check, outcome: 'passed', evidence: 'passed when it was judged' }
        : check,
    );
  const evidence = textOf(row, 'detail');
  const tokenAt = checks.findIndex(({ check }) => check === 'token');
  if (textOf(row, 'verdict') !== 'invalid_token' || tokenAt === -1)
    return [...checks, { check: 'verdict when it was judged', outcome: 'failed', evidence }];
  return checks.map((check, index) => {
    if (index === tokenAt) return { ...check, outcome: 'failed', evidence };
    return index < tokenAt ? check : { ...check, outcome: 'skipped', evidence: 'not reached' };
  });
}

async function traceRow(
  context: ExplainContext,
  row: StoredCall,
  click: StoredClick | undefined,
): Promise<readonly TracedCheck[]> {
  const whole = await context.store.at(Number(row['catalogue_version']));
  const codec = createClickIdCodec(whole.state.click_id_keys);
  const batch = await broughtBy(context, row);
  const snapshot =
    batch === undefined || batch.advertiserId === 0
      ? whole
      : snapshotOfAdvertiser(whole, batch.advertiserId);
  const hit = hitOfOriginal(row, row.hit_id, undefined, context.ips);
  const call = decodeCall(hit, originOf(row, context.ips), batch);
  const lookups = lookupsOf(call, snapshot, codec);
  const pending = row['click_pending'] === 1;
  const answer: ClickAnswer =
    lookups.clickId === '' ? 'not-asked' : pending ? 'pending' : (click ?? 'unknown');
  const transactions = await findTransactions(context.clickhouse, new Set([lookups.transactionId]));
  const transaction = transactions.get(lookups.transactionId);
  const input = { call, snapshot, codec, click: answer, transaction };
  const verdict = textOf(row, 'verdict');
  const checks = traceCall(input, verdict);
  if (isRepeat(row)) {
    const skipped = checks.map(({ check }): TracedCheck => ({
      check,
      outcome: 'skipped',
      evidence: 'not reached',
    }));
    return [
      { check: 'counts by no other replay', outcome: 'failed', evidence: textOf(row, 'detail') },
      ...skipped,
    ];
  }
  const gate = isVerdictSlug(verdict)
    ? traceGate(judgeCall(input), verdict, textOf(row, 'detail'))
    : [];
  return agreeWith([...checks, ...gate], row);
}

/** A conversion that nothing changed is in the view `transactions` with these values. */
const TRANSACTION_AS_IT_CAME = [...(REPORTS.get('transactions')?.columns.keys() ?? [])]
  .map((column) => (column === 'replayed_as' ? "'' AS replayed_as" : column))
  .join(', ');

interface NamedTransactions {
  readonly transactions: readonly Row[];
  readonly events: readonly Row[];
}

/** The call's transaction and the one that blocked it, as they are now; events: what changed its own. '' for neither. */
async function transactionsNamed(
  clickhouse: ClickHouse,
  transactionId: string,
  blocking: string,
): Promise<NamedTransactions> {
  const known = [transactionId, blocking].filter((id) => id !== '');
  if (known.length === 0) return { transactions: [], events: [] };
  const named = (select: string, of: readonly string[], rest: string): Promise<Row[]> =>
    clickhouse.query<Row>(`SELECT ${select} WHERE transaction_id IN {ids:Array(String)} ${rest}`, {
      ids: of,
    });
  // Nearly all were never changed: then one look at the table will do, a fifth of what both views cost the engine.
  const came = await named(
    `${TRANSACTION_AS_IT_CAME}, row_kind FROM postback_log`,
    known,
    "AND row_kind != 'invalid' LIMIT 10",
  );
  if (came.every((row) => row['row_kind'] === 'conversion'))
    return { transactions: came.map(({ row_kind: _, ...row }) => row), events: [] };
  const [transactions, events] = await Promise.all([
    named('* FROM transactions', known, 'LIMIT 10'),
    transactionId === ''
      ? []
      : named('* FROM transaction_events', [transactionId], 'ORDER BY hit_time LIMIT 100'),
  ]);
  return { transactions, events };
}

/** The row as the asker may see it. */
function shownTo(principal: Principal, row: Row): Row {
  const hidden = hiddenColumnsOf(principal);
  return Object.fromEntries(Object.entries(row).filter(([column]) => !hidden.has(column)));
}

async function explainCall(
  context: ExplainContext,
  codec: ClickIdCodec,
  principal: Principal,
  call: StoredCall,
): Promise<Row> {
  const { hit_ms: _, ...row } = call;
  const { clickhouse } = context;
  const transactionId = textOf(row, 'transaction_id');
  const clickId = row['click_time'] === null ? '' : textOf(row, 'click_id');
  const blocking = textOf(row, 'blocking_transaction_id');
  const found = findClick(clickhouse, codec, clickId);
  const [click, checks, named, replayedAs] = await Promise.all([
    found,
    found.then((known) => traceRow(context, call, known?.stored)),
    transactionsNamed(clickhouse, transactionId, blocking),
    replayOf(context, row),
  ]);
  const own = (items: readonly Row[]): Row[] =>
    items.filter((item) => ownsRow(principal, item)).map((item) => shownTo(principal, item));
  const request = Object.fromEntries(REQUEST_FIELDS.map((name) => [name, row[name]]));
  return {
    ...verdictOf(row),
    request: shownTo(principal, request),
    catalogue_version: row['catalogue_version'],
    checks,
    // A call to one's own offer may name a click that is someone else's.
    click: click !== undefined && ownsRow(principal, click.row) ? click.row : null,
    transactions: own(named.transactions),
    events: own(named.events),
    row: { ...shownTo(principal, row), replayed_as: replayedAs },
  };
}

/** What a click alone says, as a call does; of its request no more is stored than tells where it came from. */
async function explainClick(
  context: ExplainContext,
  principal: Principal,
  click: Row,
): Promise<Row> {
  const kept = { ...click, endpoint: 'click' satisfies Endpoint };
  const request = Object.fromEntries(REQUEST_FIELDS.map((name) => [name, textOf(kept, name)]));
  return {
    ...verdictOf(click),
    request: shownTo(principal, request),
    catalogue_version: click['catalogue_version'],
    checks: traceClick(await context.store.at(Number(click['catalogue_version'])), {
      verdict: textOf(click, 'verdict'),
      detail: textOf(click, 'detail'),
      offerId: Number(click['offer_id']),
      affiliateId: Number(click['affiliate_id']),
    }),
    click,
  };
}

/** Rows of clicks under a key, each bounded by the time that its id tells, give or take `slackMs`; other keys name no click. */
async function clicksNamed(
  clickhouse: ClickHouse,
  codec: ClickIdCodec,
  key: string,
  id: string,
  tenant: { readonly sql: string; readonly parameters: QueryParameters },
  slackMs = TIME_SLACK_MS,
): Promise<Row[]> {
  const ms = key === 'hit_id' ? msOfUuidV7(id) : undefined;
  const byHit = ms !== undefined && {
    sql: 'hit_id = {id:String} AND hit_time BETWEEN fromUnixTimestamp64Milli({from:Int64}) AND fromUnixTimestamp64Milli({to:Int64})',
    parameters: { id, from: ms - slackMs, to: ms + slackMs },
  };
  const where = key === 'click_id' ? whereClick(codec, id) : byHit || undefined;
  if (where === undefined) return [];
  return clickhouse.query<Row>(
    `SELECT * EXCEPT (chunk_time, chunk_hits, block_time) FROM click_log WHERE ${where.sql} AND ${tenant.sql} LIMIT 10`,
    { ...where.parameters, ...tenant.parameters },
  );
}

function verdictOf(row: Row): Row {
  return Object.fromEntries(
    [
      'hit_id',
      'hit_time',
      'verdict_code',
      'verdict',
      'title',
      'detail',
      'hint',
      'blocking_transaction_id',
    ].map((name) => [name, row[name] ?? '']),
  );
}

/** Every call under a key's id, oldest first; the first is also the answer's own. Throws a Problem. */
export async function explain(
  context: ExplainContext,
  principal: Principal,
  key: string,
  id: string,
): Promise<Row> {
  const column = EXPLAIN_KEYS.get(key);
  if (column === undefined || id === '') {
    const message = `name one of ${[...EXPLAIN_KEYS.keys()].join(', ')}`;
    throw badRequest(message, [{ field: key || 'hit_id', message }]);
  }
  const tenancy = tenancyOf(principal);
  const tenant = {
    sql: tenancy === undefined ? '1' : `${tenancy.column} = {tenant:UInt32}`,
    parameters: { tenant: tenancy?.id ?? 0 },
  };
  const { clickhouse } = context;
  const current = context.store
    .current()
    .then(({ state }) => createClickIdCodec(state.click_id_keys));
  const [codec, rows, clicks] = await Promise.all([
    current,
    clickhouse.query<StoredCall>(
      `SELECT * EXCEPT (lane, position, block_row, writer, chunk_time, chunk_hits, block_time), toUnixTimestamp64Milli(hit_time) AS hit_ms
       FROM postback_log
       WHERE ${column} = {id:String} AND ${tenant.sql} ORDER BY ${OLDEST_FIRST} LIMIT ${CALLS_MAX}`,
      { id, ...tenant.parameters },
    ),
    current.then((known) => clicksNamed(clickhouse, known, key, id, tenant)),
  ]);
  const calls: Row[] = [];
  for (const row of rows) calls.push(await explainCall(context, codec, principal, row));
  const [call] = calls;
  if (call !== undefined) return { ...call, calls, clicks };
  const named =
    clicks.length > 0 || key !== 'hit_id'
      ? clicks
      : await clicksNamed(clickhouse, codec, key, id, tenant, STEP_MS_MAX);
  const [click] = named;
  if (click === undefined) throw notFound(`nothing is stored under ${key} ${id.slice(0, 100)}`);
  return { ...(await explainClick(context, principal, click)), calls, clicks: named };
}
