/** `/api/v1/explain`: why a call got its verdict, every check in order. `/explain/test`: the same for a URL, judged now, recorded nowhere. */
import type { FastifyInstance } from 'fastify';
import type { CatalogueSnapshot } from '../../domain/catalogue.ts';
import { createClickIdCodec } from '../../domain/click-id.ts';
import { ENDPOINTS, type ConversionHit } from '../../domain/hit.ts';
import { decodeCall } from '../../domain/judge/call.ts';
import { settleCall, traceCall, traceGate, type TracedCheck } from '../../domain/judge/judge.ts';
import { lookupsOf, type ClickAnswer, type StoredClick } from '../../domain/judge/resolve.ts';
import { laneOf } from '../../domain/gate-request.ts';
import { createHitIds } from '../../domain/uuid-v7.ts';
import { isVerdictSlug } from '../../domain/verdicts.ts';
import { createLaneLog } from '../../../workers/gate/lane-log.ts';
import { createLaneState } from '../../../workers/gate/lane-state.ts';
import { findTransactions } from '../../../workers/ingest/transactions.ts';
import type { Principal } from '../../reports/principal.ts';
import { principalOf, queryParameters, type ApiContext } from '../context.ts';
import { badRequest, forbidden, notFound } from '../problem.ts';

type Row = Record<string, unknown>;

const KEYS: ReadonlyMap<string, string> = new Map([
  ['hit_id', 'hit_id = {id:String}'],
  ['click_id', 'click_id = {id:String}'],
  ['transaction_id', 'transaction_id = {id:String}'],
  ['order_id', 'adv_order_id = {id:String}'],
]);
/** Calls of one click or order that an answer holds. */
const CALLS_MAX = 100;

function tenantCondition(principal: Principal): string {
  if (principal.role === 'manager') return '1';
  if (principal.role === 'advertiser') return `advertiser_id = ${principal.advertiserId}`;
  throw forbidden('explain is for managers and advertisers');
}

function text(row: Row, column: string): string {
  const value = row[column];
  return typeof value === 'string' ? value : '';
}

function hitOf(row: Row): ConversionHit {
  const endpoint = ENDPOINTS.find((name) => name === row['endpoint']);
  return {
    hitId: text(row, 'hit_id'),
    receivedAtMs: Date.parse(`${text(row, 'hit_time').replace(' ', 'T')}Z`),
    endpoint: endpoint === undefined || endpoint === 'click' ? 'unknown' : endpoint,
    method: text(row, 'method'),
    path: text(row, 'path'),
    query: text(row, 'query'),
    body: text(row, 'body'),
    bodyIsBase64: false,
    contentType: text(row, 'content_type'),
    cookies: text(row, 'cookies'),
    ip: text(row, 'ip'),
    userAgent: text(row, 'user_agent'),
    referer: text(row, 'referer'),
    fromBrowser: row['channel'] === 'pixel',
  };
}

async function findClick(
  context: ApiContext,
  clickId: string,
): Promise<{ row: Row; stored: StoredClick } | undefined> {
  if (clickId === '') return undefined;
  const [row] = await context.clickhouse.query<Row>(
    'SELECT *, toUnixTimestamp64Milli(click_time) AS click_ms FROM clicks WHERE click_id = {id:String} LIMIT 1',
    { id: clickId },
  );
  if (row === undefined) return undefined;
  const list = (prefix: string): string[] => [1, 2, 3, 4, 5].map((n) => text(row, `${prefix}${n}`));
  const { click_ms, ...shown } = row;
  return {
    row: shown,
    stored: {
      click_id: clickId,
      click_time_ms: Number(click_ms),
      offer_id: Number(row['offer_id']),
      affiliate_id: Number(row['affiliate_id']),
      advertiser_id: Number(row['advertiser_id']),
      ip: text(row, 'ip'),
      aff_click_id: text(row, 'aff_click_id'),
      source: text(row, 'source'),
      sub_ids: list('sub_id'),
      aff_params: list('aff_param'),
    },
  };
}

async function traceRow(
  context: ApiContext,
  row: Row,
  click: StoredClick | undefined,
): Promise<readonly TracedCheck[]> {
  const snapshot = await context.store.at(Number(row['catalogue_version']));
  const codec = createClickIdCodec(snapshot.state.click_id_keys);
  const call = decodeCall(hitOf(row), {
    replayedFrom: text(row, 'replayed_from'),
    tokenVerifiedBefore: row['token_valid'] === 1,
  });
  const lookups = lookupsOf(call, snapshot, codec);
  const pending = row['click_pending'] === 1;
  const answer: ClickAnswer =
    lookups.clickId === '' ? 'not-asked' : pending ? 'pending' : (click ?? 'unknown');
  const transactions = await findTransactions(context.clickhouse, new Set([lookups.transactionId]));
  const traced = traceCall({
    call,
    snapshot,
    codec,
    click: answer,
    transaction: transactions.get(lookups.transactionId),
  });
  const verdict = text(row, 'verdict');
  if (!isVerdictSlug(verdict)) return traced.checks;
  return [...traced.checks, ...traceGate(traced.judged, verdict, text(row, 'detail'))];
}

async function explainRow(context: ApiContext, row: Row): Promise<Row> {
  const click = await findClick(context, row['click_time'] === null ? '' : text(row, 'click_id'));
  const transactions = await context.clickhouse.query<Row>(
    'SELECT * FROM transactions WHERE transaction_id IN ({own:String}, {blocking:String}) LIMIT 10',
    {
      own: text(row, 'transaction_id') || '-',
      blocking: text(row, 'blocking_transaction_id') || '-',
    },
  );
  const events = await context.clickhouse.query<Row>(
    'SELECT * FROM transaction_events WHERE transaction_id = {id:String} ORDER BY hit_time LIMIT 100',
    { id: text(row, 'transaction_id') || '-' },
  );
  return {
    hit_id: row['hit_id'],
    hit_time: row['hit_time'],
    verdict_code: row['verdict_code'],
    verdict: row['verdict'],
    title: row['title'],
    detail: row['detail'],
    hint: row['hint'],
    blocking_transaction_id: row['blocking_transaction_id'],
    request: Object.fromEntries(
      [
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
      ].map((name) => [name, row[name]]),
    ),
    catalogue_version: row['catalogue_version'],
    checks: await traceRow(context, row, click?.stored),
    click: click?.row ?? null,
    transactions,
    events,
    row,
  };
}

export async function explain(
  context: ApiContext,
  principal: Principal,
  key: string,
  id: string,
): Promise<Row> {
  const condition = KEYS.get(key);
  if (condition === undefined) throw badRequest(`name one of ${[...KEYS.keys()].join(', ')}`);
  const tenant = tenantCondition(principal);
  const rows = await context.clickhouse.query<Row>(
    `SELECT * EXCEPT (lane, position, block_row, writer, chunk_time, chunk_hits, block_time) FROM postback_log
     WHERE ${condition} AND ${tenant} ORDER BY hit_time LIMIT ${CALLS_MAX}`,
    { id },
  );
  const clicks =
    key === 'click_id' || key === 'hit_id'
      ? await context.clickhouse.query<Row>(
          `SELECT * EXCEPT (chunk_time, chunk_hits, block_time) FROM click_log WHERE ${key} = {id:String} AND ${tenant} LIMIT 10`,
          { id },
        )
      : [];
  if (rows.length === 0 && clicks.length === 0)
    throw notFound(`nothing is stored under ${key} ${id}`);
  const explained: Row[] = [];
  for (const row of rows) explained.push(await explainRow(context, row));
  const [first] = explained;
  return {
    ...(first ?? {
      hit_id: clicks[0]?.['hit_id'],
      verdict: clicks[0]?.['verdict'],
      verdict_code: clicks[0]?.['verdict_code'],
      detail: clicks[0]?.['detail'],
      checks: [],
      click: clicks[0],
    }),
    calls: explained,
    clicks,
  };
}

function testHit(url: URL, ip: string): ConversionHit {
  const name = url.pathname.replace(/^\/track\//, '');
  const endpoint = ENDPOINTS.find((known) => known === name);
  return {
    hitId: createHitIds(Date.now)(),
    receivedAtMs: Date.now(),
    endpoint: endpoint === undefined || endpoint === 'click' ? 'unknown' : endpoint,
    method: 'GET',
    path: url.pathname,
    query: url.search.slice(1),
    body: '',
    bodyIsBase64: false,
    contentType: '',
    cookies: '',
    ip,
    userAgent: '',
    referer: '',
    fromBrowser: /^(img|js|iframe)$/.test(url.searchParams.get('return') ?? ''),
  };
}

async function judgeNow(
  context: ApiContext,
  principal: Principal,
  url: URL,
  ip: string,
): Promise<Row> {
  const snapshot: CatalogueSnapshot = await context.store.current();
  const codec = createClickIdCodec(snapshot.state.click_id_keys);
  const call = decodeCall(testHit(url, ip));
  const lookups = lookupsOf(call, snapshot, codec);
  const click = await findClick(context, lookups.clickId);
  const answer: ClickAnswer = lookups.clickId === '' ? 'not-asked' : (click?.stored ?? 'unknown');
  const transactions = await findTransactions(context.clickhouse, new Set([lookups.transactionId]));
  const traced = traceCall({
    call,
    snapshot,
    codec,
    click: answer,
    transaction: transactions.get(lookups.transactionId),
  });
  let fields = traced.judged.kind === 'invalid' ? traced.judged.fields : undefined;
  if (traced.judged.kind === 'candidate') {
    const { item, request } = traced.judged;
    const lane = laneOf(request.offerId);
    const state = createLaneState({
      redis: context.redis,
      keys: context.keys,
      lane,
      log: createLaneLog(context.clickhouse, lane),
      snapshotAt: (version) => context.store.at(version),
      clock: Date.now,
      logger: context.logger,
    });
    const [reply] = (await state.judge([request])).replies;
    if (reply !== undefined) fields = settleCall(item, request, reply);
  }
  if (fields === undefined) throw notFound('the gate gave no answer');
  if (principal.role === 'advertiser' && fields.advertiser_id !== principal.advertiserId)
    throw notFound('the call belongs to no offer of yours');
  return {
    verdict_code: fields.verdict_code,
    verdict: fields.verdict,
    title: fields.title,
    detail: fields.detail,
    hint: fields.hint,
    blocking_transaction_id: fields.blocking_transaction_id,
    checks: [...traced.checks, ...traceGate(traced.judged, fields.verdict, fields.detail)],
    click: click?.row ?? null,
    recorded: false,
  };
}

export function registerExplainRoutes(app: FastifyInstance, context: ApiContext): void {
  app.get('/api/v1/explain', async (request) => {
    const parameters = queryParameters(request);
    const [key = '', values = []] = [...parameters][0] ?? [];
    return explain(context, principalOf(request), key, values.at(-1) ?? '');
  });
  app.post<{ Body: { url?: unknown } | null }>('/api/v1/explain/test', async (request) => {
    const principal = principalOf(request);
    tenantCondition(principal);
    const url = request.body?.url;
    if (typeof url !== 'string' || !URL.canParse(url, 'http://tracker')) {
      throw badRequest('send {"url": "https://…/track/…"}', [
        { field: 'url', message: 'must be the URL of a postback or pixel' },
      ]);
    }
    return judgeNow(context, principal, new URL(url, 'http://tracker'), request.ip);
  });
}
