/** What a URL would become if it were called now: judged against the newest catalogue and the gate's state. It records nothing and claims nothing. */
import { AppError, messageOf } from '../../domain/app-error.ts';
import type { CatalogueSnapshot } from '../../domain/catalogue.ts';
import { createClickIdCodec } from '../../domain/click-id.ts';
import { laneOf, type GateReply, type GateRequest } from '../../domain/gate-request.ts';
import { hintOfClick } from '../../domain/hints.ts';
import { CONVERSION_ENDPOINTS, PATHS, type ConversionHit } from '../../domain/hit.ts';
import { judgeClick } from '../../domain/judge-click.ts';
import { decodeCall } from '../../domain/judge/call.ts';
import type { PostbackFields } from '../../domain/judge/fields.ts';
import {
  judgeCall,
  settleCall,
  traceCall,
  traceGate,
  type Judged,
} from '../../domain/judge/judge.ts';
import { lookupsOf, type ClickAnswer } from '../../domain/judge/resolve.ts';
import { parseQuery } from '../../domain/parameters.ts';
import { traceClick } from '../../domain/trace-click.ts';
import { createHitIds } from '../../domain/uuid-v7.ts';
import { ownsRow, type Principal } from '../../reports/principal.ts';
import { createLaneLog } from '../../../workers/gate/lane-log.ts';
import { createLaneState } from '../../../workers/gate/lane-state.ts';
import { findTransactions } from '../../../workers/ingest/transactions.ts';
import type { ApiContext } from '../context.ts';
import { notFound } from '../problem.ts';
import { findClick, type Row } from './click.ts';

/** Verdicts that say something of the URL alone, so that they belong to no tenant. */
const NOBODYS: ReadonlySet<string> = new Set(['malformed', 'invalid_click_id', 'invalid_cookie']);

function hitOf(url: URL, ip: string): ConversionHit {
  const name = url.pathname.replace(/^\/track\//, '');
  const endpoint = CONVERSION_ENDPOINTS.find((known) => known === name);
  return {
    hitId: createHitIds(Date.now)(),
    receivedAtMs: Date.now(),
    endpoint: endpoint ?? 'unknown',
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

async function askGate(context: ApiContext, request: GateRequest): Promise<GateReply> {
  const lane = laneOf(request.offerId);
  const state = createLaneState({
    redis: context.redis,
    keys: context.keys,
    lane,
    log: createLaneLog(context.clickhouse, lane, context.ips),
    snapshotAt: context.store.at,
    logger: context.logger,
  });
  try {
    const [reply] = (
      await state.judge([{ ...request, uniqueIp: context.ips.key(request.uniqueIp) }])
    ).replies;
    if (reply === undefined) throw new Error('the gate gave no answer');
    return reply;
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('REDIS_UNAVAILABLE', `the gate did not answer: ${messageOf(error)}`, error);
  } finally {
    state.close();
  }
}

async function settle(context: ApiContext, judged: Judged): Promise<PostbackFields> {
  if (judged.kind === 'invalid') return judged.fields;
  return settleCall(judged.item, judged.request, await askGate(context, judged.request));
}

function mayLearn(principal: Principal, fields: PostbackFields): boolean {
  if (fields.advertiser_id === 0 && NOBODYS.has(fields.verdict)) return true;
  return ownsRow(principal, { ...fields });
}

/** A tracking link: what the edge would answer, under the newest catalogue. No click id is minted. */
function testClick(snapshot: CatalogueSnapshot, principal: Principal, url: URL): Row {
  const parameters = parseQuery(url.search.slice(1));
  const { verdict, detail, offer, affiliateId } = judgeClick(snapshot, parameters);
  if (!ownsRow(principal, { advertiser_id: offer?.advertiser_id ?? 0 }))
    throw notFound('the link belongs to no offer of yours');
  const click = { verdict: verdict.slug, detail, offerId: offer?.id ?? 0, affiliateId };
  return {
    verdict_code: verdict.code,
    verdict: verdict.slug,
    title: verdict.title,
    detail,
    hint: hintOfClick(verdict.slug, parameters),
    blocking_transaction_id: '',
    checks: traceClick(snapshot, click),
    click: null,
    recorded: false,
  };
}

/** `ip` is the caller's address, as the tracker would see it. Throws a Problem for a call to someone else's offer. */
export async function explainTest(
  context: ApiContext,
  principal: Principal,
  url: URL,
  ip: string,
): Promise<Row> {
  const snapshot = await context.store.current();
  if (url.pathname === PATHS.click) return testClick(snapshot, principal, url);
  const codec = createClickIdCodec(snapshot.state.click_id_keys);
  const call = decodeCall(hitOf(url, ip));
  const lookups = lookupsOf(call, snapshot, codec);
  const found = await findClick(context.clickhouse, codec, lookups.clickId);
  const click: ClickAnswer = lookups.clickId === '' ? 'not-asked' : (found?.stored ?? 'unknown');
  const transactions = await findTransactions(context.clickhouse, new Set([lookups.transactionId]));
  const transaction = transactions.get(lookups.transactionId);
  const input = { call, snapshot, codec, click, transaction };
  const judged = judgeCall(input);
  const fields = await settle(context, judged);
  if (!mayLearn(principal, fields)) throw notFound('the call belongs to no offer of yours');
  return {
    verdict_code: fields.verdict_code,
    verdict: fields.verdict,
    title: fields.title,
    detail: fields.detail,
    hint: fields.hint,
    blocking_transaction_id: fields.blocking_transaction_id,
    checks: [
      ...traceCall(input, fields.verdict),
      ...traceGate(judged, fields.verdict, fields.detail),
    ],
    click: found !== undefined && ownsRow(principal, found.row) ? found.row : null,
    recorded: false,
  };
}
