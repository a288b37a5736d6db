/** One upload of many postbacks through /track/batch, to the last verdict that SQL shows. */
import { gzipSync } from 'node:zlib';
import { count, fixed } from '../paper/numbers.ts';
import type { Finding, Measurement, Result, Settings } from '../paper/result.ts';
import { TWO_CORES } from '../stage/cores.ts';
import { mintClicks } from '../stage/minted-clicks.ts';
import { askAgain, startStack, until, type Stack } from '../stage/stack.ts';

const TARGET_S = 60;
const FULL_LINES = 1_000_000;

function resultOf(method: string, finding: Partial<Finding>): Result {
  return {
    title: 'Batch upload',
    method,
    findings: [
      {
        what: '1,000,000 postbacks by `/track/batch`: upload to last verdict queryable',
        measured: 'not built yet',
        peer: '–',
        ratio: '–',
        target: '≤ 60 s',
        moonshot: '30 s',
        met: undefined,
        ...finding,
      },
    ],
    tables: [],
    charts: [],
  };
}

async function advertiserKey(stack: Stack): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${stack.apiPort}/api/v1/api-keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.adminKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ role: 'advertiser', advertiser_id: 1, name: 'bench' }),
  });
  const body = (await response.json()) as { key?: string };
  if (body.key === undefined) throw new Error(`no API key: ${JSON.stringify(body)}`);
  return body.key;
}

async function upload(stack: Stack, key: string, body: Buffer<ArrayBuffer>): Promise<Response> {
  return fetch(`http://127.0.0.1:${stack.edgePort}/track/batch`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${key}`,
      'content-type': 'application/x-ndjson',
      'content-encoding': 'gzip',
      'idempotency-key': `bench-${Date.now()}`,
    },
    body,
  });
}

async function storedCalls(stack: Stack): Promise<number> {
  const rows = await askAgain(() =>
    stack.clickhouse.query<{ n: number }>('SELECT count() AS n FROM postback_log'),
  );
  return rows[0]?.n ?? 0;
}

async function run(settings: Settings): Promise<Result> {
  const stack = await startStack(TWO_CORES);
  try {
    await stack.start('edge');
    const probe = await upload(stack, '', gzipSync(''));
    await probe.arrayBuffer();
    if (probe.status === 404)
      return resultOf('This version has no `/track/batch`.', { measured: 'not built yet' });
    await stack.start('worker');
    await stack.start('api');
    const lines = settings.quick ? FULL_LINES / 20 : FULL_LINES;
    const { clicks } = await mintClicks(stack, lines);
    const text = clicks
      .map(({ clickId }, index) =>
        JSON.stringify({ click_id: clickId, amount: '49.90', track_id: `b-${index}` }),
      )
      .join('\n');
    const body = gzipSync(text);
    const key = await advertiserKey(stack);
    const base = await storedCalls(stack);
    const started = performance.now();
    const answer = await upload(stack, key, body);
    if (answer.status !== 202)
      throw new Error(`the upload was answered ${answer.status}: ${await answer.text()}`);
    await answer.arrayBuffer();
    const acceptedS = (performance.now() - started) / 1000;
    await until(
      `${lines} verdicts`,
      async () => (await storedCalls(stack)) - base >= lines,
      600_000,
      100,
    );
    const seconds = (performance.now() - started) / 1000;
    const million = (seconds * FULL_LINES) / lines;
    return resultOf(
      `${count(lines)} postbacks of distinct clicks as gzipped NDJSON (${count(body.length / 1024)} KiB), every check on; answered 202 after ${fixed(acceptedS)} s.`,
      {
        measured: `${fixed(seconds, 1)} s for ${count(lines)} (${count(lines / seconds)} a second)`,
        met: million <= TARGET_S,
      },
    );
  } finally {
    await stack.close();
  }
}

export const batch: Measurement = { name: 'batch', run };
