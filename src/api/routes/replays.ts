/** `/api/v1/replays`: preview, run and follow replays of rejected calls. For managers. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { timeText } from '../../../clickhouse/insert.ts';
import { parseEntity } from '../../catalogue/schema.ts';
import type { PostbackFields } from '../../domain/judge/fields.ts';
import { verdictOf } from '../../domain/verdicts.ts';
import type { Principal } from '../../reports/principal.ts';
import {
  callsOfSelection,
  countSelection,
  firstOfSelection,
  selectionByVerdict,
  type ReplaySelection,
  type SelectedCall,
} from '../../reports/replay-selection.ts';
import { listReplays } from '../../reports/replays.ts';
import { requireManager, type ApiContext } from '../context.ts';
import {
  LIST_DOCUMENT,
  PREVIEW_DOCUMENT,
  previewSchema,
  RUN_DOCUMENT,
  runSchema,
  STATUS_DOCUMENT,
} from '../documents/replays.ts';
import { uploadOptions } from '../edge-batches.ts';
import { badRequest, invalid, notFound } from '../problem.ts';
import { previewReplay } from '../replays/preview.ts';
import { parseSelection, selectionText, selectNow } from '../replays/selection.ts';
import { sendReplay } from '../replays/send.ts';

/** Judged by a preview: as many as a lane judges in one block. */
const JUDGED_MAX = 5_000;
/** Of one replay: its hit ids are read and written in some seconds. */
const CALLS_MAX = 500_000;
const LISTED = 100;

const count = (calls: number): string => calls.toLocaleString('en');

function refuse(field: string, message: string): never {
  throw invalid(message, [{ field, message }]);
}

/** How many calls it is about; refuses none and too many. */
async function checkedCount(
  context: ApiContext,
  selection: ReplaySelection,
  principal: Principal,
): Promise<{ readonly calls: number; readonly counted_before: number }> {
  const counts = await countSelection(context.clickhouse, selection, principal);
  if (counts.calls > CALLS_MAX)
    refuse(
      'filter',
      `${count(counts.calls)} calls match; a replay takes at most ${count(CALLS_MAX)}: narrow the filter`,
    );
  return counts;
}

/** A call that is kept no longer would be malformed: nothing is left to judge. */
function previewRow(
  { hit_id, hit_ms, verdict }: SelectedCall & { readonly verdict: string },
  would: PostbackFields | undefined,
): Record<string, unknown> {
  const gone = verdictOf('malformed');
  return {
    hit_id,
    hit_time: timeText(hit_ms),
    from: verdict,
    to: would?.verdict ?? gone.slug,
    title: would?.title ?? gone.title,
    detail: would?.detail ?? 'the call is not stored any more',
    hint: would?.hint ?? '',
    blocking_transaction_id: would?.blocking_transaction_id ?? '',
    offer_id: would?.offer_id ?? 0,
    goal_id: would?.goal_id ?? 0,
    affiliate_id: would?.affiliate_id ?? 0,
    conv_status: would?.conv_status ?? '',
    payout: would?.payout ?? null,
    revenue: would?.revenue ?? null,
    currency: would?.currency ?? '',
  };
}

interface Change {
  readonly from: string;
  readonly to: string;
  readonly calls: number;
}

/** How many go from which verdict to which, the most first. */
function changesOf(rows: readonly Record<string, unknown>[]): Change[] {
  const changes = new Map<string, Change>();
  for (const row of rows) {
    const [from, to] = [String(row['from']), String(row['to'])];
    const calls = (changes.get(`${from} ${to}`)?.calls ?? 0) + 1;
    changes.set(`${from} ${to}`, { from, to, calls });
  }
  return [...changes.values()].toSorted((a, b) => b.calls - a.calls);
}

async function preview(context: ApiContext, principal: Principal, body: unknown): Promise<object> {
  const parsed = parseEntity(previewSchema, body, '');
  if ('faults' in parsed) throw badRequest('send {"filter": {…}}', parsed.faults);
  const selection = await selectNow(context, parsed.value.filter);
  const counts = await checkedCount(context, selection, principal);
  const [rejectedAs, first] = await Promise.all([
    selectionByVerdict(context.clickhouse, selection, principal),
    firstOfSelection(context.clickhouse, selection, principal, JUDGED_MAX),
  ]);
  const { would, catalogueVersion } = await previewReplay(
    context,
    first.map(({ hit_id: id }) => id),
  );
  const rows = first.map((call) => previewRow(call, would.get(call.hit_id)));
  return {
    ...counts,
    rejected_as: rejectedAs,
    judged: rows.length,
    changes: changesOf(rows),
    rows: rows.slice(0, parsed.value.rows),
    catalogue_version: catalogueVersion,
    selection: selectionText(selection),
  };
}

async function selectionOf(
  context: ApiContext,
  sent: ReturnType<typeof runSchema.parse>,
): Promise<ReplaySelection> {
  const message = 'send either filter or selection';
  if ((sent.filter === undefined) === (sent.selection === undefined))
    throw badRequest(message, [{ field: 'filter', message }]);
  if (sent.selection !== undefined) return parseSelection(sent.selection);
  return selectNow(context, sent.filter ?? {});
}

async function* linesOf(pages: AsyncIterable<readonly SelectedCall[]>): AsyncGenerator<string> {
  for await (const page of pages)
    yield page.map(({ hit_id }) => `${JSON.stringify({ hit_id })}\n`).join('');
}

async function run(
  context: ApiContext,
  principal: Principal,
  request: FastifyRequest,
): Promise<object> {
  const parsed = parseEntity(runSchema, request.body, '');
  if ('faults' in parsed)
    throw badRequest('send {"filter": {…}} or {"selection": "…"}', parsed.faults);
  const selection = await selectionOf(context, parsed.value);
  const { calls } = await checkedCount(context, selection, principal);
  if (calls === 0) refuse('filter', 'no rejected call matches that does not count already');
  const { idempotencyKey, signal } = uploadOptions(request);
  const { receipt } = await sendReplay(
    context.batchGate,
    {
      author: principal.name,
      suppressPostbacks: parsed.value.suppress_postbacks,
      idempotencyKey,
    },
    linesOf(callsOfSelection(context.clickhouse, selection, principal)),
    signal,
  );
  const replayId = String(receipt['batch_id']);
  const hits = Number(receipt['hits']);
  context.logger.info({ replay: replayId, hits }, 'a replay is stored');
  return { replay_id: replayId, hits, status_url: `/api/v1/replays/${replayId}` };
}

export function registerReplayRoutes(app: FastifyInstance, context: ApiContext): void {
  app.post('/api/v1/replays/preview', { schema: PREVIEW_DOCUMENT }, async (request) =>
    preview(context, requireManager(request), request.body),
  );
  app.post('/api/v1/replays', { schema: RUN_DOCUMENT }, async (request, reply) => {
    const principal = requireManager(request);
    return reply.status(202).send(await run(context, principal, request));
  });
  app.get('/api/v1/replays', { schema: LIST_DOCUMENT }, async (request) => {
    requireManager(request);
    return { rows: await listReplays(context.clickhouse, LISTED) };
  });
  app.get<{ Params: { id: string } }>(
    '/api/v1/replays/:id',
    { schema: STATUS_DOCUMENT },
    async (request) => {
      requireManager(request);
      const { id } = request.params;
      const [replay] = id === '' ? [] : await listReplays(context.clickhouse, 1, id);
      if (replay === undefined) throw notFound(`no replay has the id ${id.slice(0, 100)}`);
      return replay;
    },
  );
}
