/** `sluice replay`: previews a replay of rejected calls, asks, has the API run it, follows it, prints a summary. */
import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { reachableHost, type Config } from '../config.ts';
import { isVerdictSlug, verdictOf } from '../domain/verdicts.ts';
import type { ReplayStatus } from '../reports/replays.ts';
import { openSecrets } from '../secrets.ts';
import { createProgressBar } from './progress-bar.ts';

/** As the command line parses them. */
export interface ReplayCommandOptions {
  readonly verdict?: readonly string[];
  readonly offer?: readonly string[];
  readonly goal?: readonly string[];
  readonly affiliate?: readonly string[];
  readonly advertiser?: readonly string[];
  readonly hit?: readonly string[];
  readonly from?: string;
  readonly to?: string;
  readonly tz: string;
  readonly preview?: true;
  readonly yes?: true;
  readonly suppressPostbacks?: true;
}

interface Preview {
  readonly calls: number;
  readonly counted_before: number;
  readonly judged: number;
  readonly changes: readonly {
    readonly from: string;
    readonly to: string;
    readonly calls: number;
  }[];
  readonly rows: readonly {
    readonly hit_id: string;
    readonly to: string;
    readonly detail: string;
  }[];
  readonly selection: string;
}

const DONE = 0;
const FAILED = 1;
const BAD_USAGE = 2;
const POLL_MS = 500;
/** Calls that stay rejected, printed with the reason; the console and the API have the rest. */
const REASONS_SHOWN = 5;

/** A request that the API refused; 400 and 422 are about what was asked for. */
class Refused extends Error {
  readonly status: number;
  constructor(status: number, detail: string) {
    super(detail);
    this.status = status;
  }
}

async function ask<T>(config: Config, path: string, body?: object): Promise<T> {
  const address = `${reachableHost(config.host)}:${config.apiPort}`;
  let response: Response;
  try {
    response = await fetch(`http://${address}/api/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        authorization: `Bearer ${openSecrets(config).adminKey}`,
        ...(body !== undefined && {
          'content-type': 'application/json',
          'idempotency-key': randomUUID(),
        }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch (error) {
    throw new Error(`the API does not answer on ${address}: is sluice up?`, {
      cause: error,
    });
  }
  const answer: unknown = await response.json();
  if (!response.ok) throw new Refused(response.status, (answer as { detail: string }).detail);
  // The API's own answers; their form is held by its OpenAPI document.
  return answer as T;
}

function filterOf(options: ReplayCommandOptions): Record<string, string | readonly string[]> {
  const { verdict, offer, goal, affiliate, advertiser, hit, from, to, tz } = options;
  return {
    ...(verdict !== undefined && { verdict }),
    ...(offer !== undefined && { offer_id: offer }),
    ...(goal !== undefined && { goal_id: goal }),
    ...(affiliate !== undefined && { affiliate_id: affiliate }),
    ...(advertiser !== undefined && { advertiser_id: advertiser }),
    ...(hit !== undefined && { hit_id: hit }),
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    tz,
  };
}

const titleOf = (slug: string): string => (isVerdictSlug(slug) ? verdictOf(slug).title : slug);

function printPreview(preview: Preview): void {
  const { calls, counted_before: before, judged, changes } = preview;
  console.log(`${calls} rejected calls match`);
  if (before > 0) console.log(`  ${before} more count already, by an earlier replay`);
  if (judged < calls) console.log(`  of these the first ${judged} were judged for this preview`);
  const width = String(judged).length;
  for (const change of changes)
    console.log(
      `  ${String(change.calls).padStart(width)}  ${titleOf(change.from)} → ${titleOf(change.to)}`,
    );
  const rejected = preview.rows.filter(({ to }) => to !== 'accepted').slice(0, REASONS_SHOWN);
  for (const { hit_id: id, detail } of rejected) console.log(`  ${id}: ${detail}`);
}

function printSummary(status: ReplayStatus): void {
  const width = String(status.hits).length;
  for (const [slug, hits] of Object.entries(status.verdicts))
    console.log(`  ${String(hits).padStart(width)}  ${titleOf(slug)}`);
}

async function follow(config: Config, path: string): Promise<ReplayStatus> {
  const bar = createProgressBar('judging');
  try {
    for (;;) {
      const status = await ask<ReplayStatus>(config, path);
      bar.set(status.judged, status.hits);
      if (status.state === 'done') return status;
      await pause(POLL_MS);
    }
  } finally {
    bar.end();
  }
}

async function isConfirmed(calls: number): Promise<boolean> {
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await asking.question(`replay ${calls} calls? [y/N] `)).trim());
  } finally {
    asking.close();
  }
}

async function replay(config: Config, options: ReplayCommandOptions): Promise<number> {
  const preview = await ask<Preview>(config, '/replays/preview', { filter: filterOf(options) });
  printPreview(preview);
  if (preview.calls === 0 || options.preview === true) return DONE;
  if (options.yes !== true) {
    if (!process.stdin.isTTY) {
      console.error('sluice: nobody can be asked here: add --yes to replay these calls');
      return BAD_USAGE;
    }
    if (!(await isConfirmed(preview.calls))) {
      console.error('sluice: nothing was replayed');
      return FAILED;
    }
  }
  const started = await ask<{ replay_id: string; hits: number }>(config, '/replays', {
    selection: preview.selection,
    suppress_postbacks: options.suppressPostbacks === true,
  });
  console.log(`replay ${started.replay_id}: ${started.hits} calls`);
  printSummary(await follow(config, `/replays/${started.replay_id}`));
  return DONE;
}

export async function runReplay(config: Config, options: ReplayCommandOptions): Promise<number> {
  const { verdict, offer, goal, affiliate, advertiser, hit, from, to } = options;
  if (
    [verdict, offer, goal, affiliate, advertiser, hit, from, to].every((one) => one === undefined)
  ) {
    console.error('sluice: say which calls: --verdict, --offer, --from, … (sluice replay --help)');
    return BAD_USAGE;
  }
  try {
    return await replay(config, options);
  } catch (error) {
    if (!(error instanceof Refused) || error.status !== 400) throw error;
    console.error(`sluice: ${error.message}`);
    return BAD_USAGE;
  }
}
