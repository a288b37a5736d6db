/** `sluice batch FILE`: uploads a file of postbacks to the running edge, follows its verdicts, prints a summary. */
import { createHash } from 'node:crypto';
import { createReadStream, statSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as pause } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { verdictOf, isVerdictSlug } from '../domain/verdicts.ts';
import { batchStatus, findBatch, type BatchStatus } from '../reports/batches.ts';
import { openSecrets } from '../secrets.ts';
import { openInstance } from './instance.ts';
import { createProgressBar } from './progress-bar.ts';

export interface BatchOptions {
  readonly file: string;
  readonly advertiser: number;
  readonly key: string | undefined;
  readonly dryRun: boolean;
  readonly wait: boolean;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

const POLL_MS = 500;
/** Rejected lines printed; the API has the rest. */
const REJECTED_SHOWN = 20;
const MANAGER = { role: 'manager', name: 'command line' } as const;

async function hashOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

async function readAnswer(response: IncomingMessage): Promise<Answer> {
  let text = '';
  response.setEncoding('utf8');
  for await (const part of response) text += String(part);
  let body: Record<string, unknown> = { error: text.slice(0, 500) };
  // The edge answers in JSON; whatever stands between may not.
  if (text.startsWith('{')) body = JSON.parse(text) as Record<string, unknown>;
  return { status: response.statusCode ?? 0, body };
}

function upload(config: Config, options: BatchOptions, key: string): Promise<Answer> {
  const bytes = statSync(options.file).size;
  const bar = createProgressBar('sending');
  const query = `advertiser_id=${options.advertiser}${options.dryRun ? '&dry_run=1' : ''}`;
  return new Promise((resolve, reject) => {
    const url = new URL(`${config.edgeUrl}/track/batch?${query}`);
    const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, {
      method: 'POST',
      headers: {
        Authorization: `Bearer ${openSecrets(config).adminKey}`,
        'Idempotency-Key': key,
        'Content-Length': bytes,
      },
    });
    let sent = 0;
    let answered = false;
    const count = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        sent += chunk.length;
        bar.set(sent, bytes);
        done(null, chunk);
      },
    });
    request.on('response', (response) => {
      answered = true;
      bar.end();
      readAnswer(response).then(resolve, reject);
    });
    pipeline(createReadStream(options.file), count, request).catch((error: unknown) => {
      bar.end();
      // A file that is refused at once is answered before it is sent whole.
      if (!answered) setTimeout(() => reject(error), POLL_MS);
    });
  });
}

function printRejected(body: Record<string, unknown>): void {
  const rejected = Array.isArray(body['rejected']) ? (body['rejected'] as unknown[]) : [];
  for (const item of rejected.slice(0, REJECTED_SHOWN)) {
    // As the receipt has it.
    const { line, column, error } = item as {
      line: number;
      column: string | number | null;
      error: string;
    };
    console.log(`  line ${line}${column === null ? '' : `, column ${String(column)}`}: ${error}`);
  }
  const count = Number(body['rejected_lines'] ?? rejected.length);
  if (count > REJECTED_SHOWN) console.log(`  and ${count - REJECTED_SHOWN} more`);
}

function printSummary(status: BatchStatus): void {
  const rows = Object.entries(status.verdicts);
  const width = String(status.hits).length;
  for (const [slug, hits] of rows) {
    const title = isVerdictSlug(slug) ? verdictOf(slug).title : slug;
    console.log(`  ${String(hits).padStart(width)}  ${title}`);
  }
}

/** Waits until every line has its verdict. */
async function follow(config: Config, batchId: string): Promise<BatchStatus> {
  const instance = await openInstance(config);
  const bar = createProgressBar('judging');
  try {
    for (;;) {
      const batch = await findBatch(instance.clickhouse, MANAGER, batchId);
      if (batch === undefined) throw new Error(`batch ${batchId} is not registered`);
      const status = await batchStatus(instance.clickhouse, batch);
      bar.set(status.judged, status.hits);
      if (status.state === 'done') return status;
      await pause(POLL_MS);
    }
  } finally {
    bar.end();
    await instance.close();
  }
}

const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value);

function printRefusal({ status, body }: Answer): void {
  const place = ['line', 'column']
    .filter((name) => body[name] !== undefined && body[name] !== null)
    .map((name) => `${name} ${String(body[name])}`);
  const where = place.length === 0 ? '' : `${place.join(', ')}: `;
  console.error(`sluice: the file was refused (${status}): ${where}${textOf(body['error'])}`);
}

export async function runBatch(config: Config, options: BatchOptions): Promise<number> {
  // The same file sent twice is one batch, unless another key says that it is meant twice.
  const key = options.key ?? `file-${await hashOf(options.file)}`;
  const answer = await upload(config, options, key);
  const { body } = answer;
  if (options.dryRun && answer.status === 200) {
    console.log(
      `dry run: ${String(body['lines'])} lines, ${String(body['rejected_lines'])} of them can't be read or hold a wrong value; nothing was stored`,
    );
    printRejected(body);
    return 0;
  }
  if (answer.status !== 202) {
    printRefusal(answer);
    return 1;
  }
  const batchId = String(body['batch_id']);
  console.log(
    `batch ${batchId}: ${String(body['lines'])} lines, ${String(body['rejected_lines'])} of them can't be read or hold a wrong value`,
  );
  printRejected(body);
  if (!options.wait) return 0;
  printSummary(await follow(config, batchId));
  return 0;
}
