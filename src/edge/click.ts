/** A click: judged from memory, given an id when it is valid, answered with a redirect, an id or a plain page. */
import type { CatalogueSnapshot } from '../domain/catalogue.ts';
import type { ClickIdCodec } from '../domain/click-id.ts';
import { judgeClick, type JudgedClick } from '../domain/judge-click.ts';
import { landingUrl, trafficbackUrl, type MacroValues } from '../domain/macros.ts';
import { parseBody, parseQuery, type Parameters } from '../domain/parameters.ts';
import { encodeClick } from '../queue/chunk-job.ts';
import type { ClickClock } from '../spool/click-clock.ts';
import {
  invalidClickPage,
  invalidClickProblem,
  jsonAnswer,
  redirectAnswer,
  type Answer,
} from './answers.ts';
import type { ClientReader } from './client.ts';
import { decodeBody, rawHit } from './raw-hit.ts';
import type { HitToStore } from './tick-store.ts';
import type { EdgeRequest } from './uws-adapter.ts';

export interface ClickDeps {
  readonly clickClock: ClickClock;
  readonly codecOf: (snapshot: CatalogueSnapshot) => ClickIdCodec;
  readonly hitIds: () => string;
  readonly edgeNumber: number;
  readonly clientOf: ClientReader;
  readonly trafficbackUrl: string | null;
  readonly clock: () => number;
}

const SECONDS_A_DAY = 86_400;

function cookieOf(offerId: number, clickId: string, lifetimeDays: number, https: boolean): string {
  const maxAge = Math.max(1, Math.round(lifetimeDays * SECONDS_A_DAY));
  const site = https ? 'SameSite=None; Secure' : 'SameSite=Lax';
  return `slc_${offerId}=${clickId}; Path=/; Max-Age=${maxAge}; HttpOnly; ${site}`;
}

function invalidAnswer(
  deps: ClickDeps,
  judged: JudgedClick,
  values: MacroValues,
  wantsJson: boolean,
  origin: string,
): Answer {
  const { verdict, offer, detail } = judged;
  if (wantsJson) return invalidClickProblem(verdict, detail, origin);
  const back = trafficbackUrl(offer, deps.trafficbackUrl, values);
  return back === undefined
    ? invalidClickPage(verdict.slug, verdict.title)
    : redirectAnswer(back, verdict.slug, '');
}

/** The parameters of a click: of the query, or of the body when there is no query. */
function parametersOf(request: EdgeRequest, body: string): Parameters {
  if (request.query !== '' || body === '') return parseQuery(request.query);
  const parsed = parseBody(body, request.contentType);
  return parsed.readable ? parsed.parameters : parseQuery('');
}

function answerOf(
  deps: ClickDeps,
  judged: JudgedClick,
  values: MacroValues,
  origin: string,
  https: boolean,
): Answer {
  const { verdict, offer } = judged;
  const { clickId } = values;
  const wantsJson = values.parameters.get('return') === 'click_id';
  if (clickId === '' || offer === undefined)
    return invalidAnswer(deps, judged, values, wantsJson, origin);
  const cookie = cookieOf(offer.id, clickId, offer.click_lifetime_days, https);
  if (!wantsJson) return redirectAnswer(landingUrl(offer, values), verdict.slug, cookie);
  const headers = [`X-Sluice-Verdict: ${verdict.slug}`, `Set-Cookie: ${cookie}`];
  return jsonAnswer('200 OK', { click_id: clickId }, headers, origin);
}

/** Makes the hit and its answer. Throws when the click clock can't be kept on disk; then nothing was minted. */
export function receiveClick(
  deps: ClickDeps,
  snapshot: CatalogueSnapshot,
  request: EdgeRequest,
): HitToStore {
  const client = deps.clientOf(request);
  const body = decodeBody(request);
  const parameters = parametersOf(request, body.bodyIsBase64 ? '' : body.body);
  const judged = judgeClick(snapshot, parameters);
  const { verdict, offer, affiliateId } = judged;
  const startedMs = deps.clock();
  let receivedAtMs = startedMs;
  let clickId = '';
  if (verdict.code === 0 && offer !== undefined) {
    const { ms, sequence } = deps.clickClock.next(startedMs);
    clickId = deps.codecOf(snapshot).mint(ms, offer.id, deps.edgeNumber, sequence);
    // The click clock never goes back, and a row's receipt is its id's time: reports look for either by the other.
    receivedAtMs = ms;
  }
  const values: MacroValues = {
    clickId,
    offerId: offer === undefined ? (parameters.get('o') ?? '') : String(offer.id),
    affiliateId: affiliateId === 0 ? (parameters.get('a') ?? '') : String(affiliateId),
    parameters,
  };
  const raw = rawHit(request, 'click', {
    hitId: deps.hitIds(),
    receivedAtMs,
    client,
    fromBrowser: request.fetchDest !== '',
    body,
  });
  const record = encodeClick(raw, {
    clickId,
    offerId: offer?.id ?? 0,
    affiliateId,
    advertiserId: offer?.advertiser_id ?? 0,
    verdictCode: verdict.code,
    detail: judged.detail,
  });
  const answer = answerOf(deps, judged, values, request.origin, client.https);
  return { kind: 'clicks', endpoint: 'click', receivedAtMs: startedMs, record, answer };
}
