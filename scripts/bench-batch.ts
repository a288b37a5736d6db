/**
 * Times a batch file through a whole Sluice while live calls go on: `npx tsx scripts/bench-batch.ts [lines] [plain|gzip] [live calls a second]`.
 * Prints the time to the receipt and to the last verdict, the edge's memory, and what the live calls felt of it.
 */
import {
  createReadStream,
  createWriteStream,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { projectPath } from '../src/project-root.ts';
import { startSluice, type RunningSluice } from '../test/support/start-sluice.ts';
import { waitFor } from '../test/support/wait-for.ts';

const LINES = Number(process.argv[2] ?? 1_000_000);
const GZIP = process.argv[3] === 'gzip';
const CLICKS = 2_000;
const LIVE_A_SECOND = Number(process.argv[4] ?? 200);
const BASELINE_MS = 10_000;
const FOLLOW_MS = 100;
/** The look costs, too: three statements of an analyst. */
const LOOK_MS = 80;

const agent = new Agent({ keepAlive: true, maxSockets: 32 });

function get(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    httpRequest(url, { agent }, (response) => {
      let text = '';
      response.on('data', (part: Buffer) => (text += part.toString()));
      response.on('end', () => resolve(text));
    })
      .on('error', reject)
      .end();
  });
}

async function mintClicks(sluice: RunningSluice): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < CLICKS) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => get(`${sluice.edgeUrl}/click?o=16&a=1&return=click_id`)),
    );
    for (const answer of answers) ids.push((JSON.parse(answer) as { click_id: string }).click_id);
  }
  return ids;
}

async function writeFile(file: string, ids: readonly string[]): Promise<void> {
  const sink = createWriteStream(file);
  const out = GZIP ? createGzip({ level: 1 }) : sink;
  const written = GZIP ? pipeline(out as ReturnType<typeof createGzip>, sink) : undefined;
  let text = 'click_id;goal_alias;amount;currency;adv_order_id;sub_id1\n';
  for (let line = 0; line < LINES; line++) {
    const bad = line % 1_000 === 999;
    text += `${ids[line % ids.length] ?? ''};${line % 50 === 49 ? 'nope' : 'many'};${bad ? 'abc' : (line % 900) / 4};EUR;order-${line};campaign ${line % 37}\n`;
    if (text.length < 1 << 20) continue;
    if (!out.write(text)) await once(out, 'drain');
    text = '';
  }
  out.end(text);
  await (written ?? once(sink, 'finish'));
}

const rssMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;

const ROLES = ['edge', 'worker', 'clickhouse', 'redis-server'] as const;
const TICKS_A_SECOND = 100;

/** Seconds of processor time by role; what the machine's other work does to the clock it does not do to these. */
function cpuOf(sluice: RunningSluice): Map<string, number> {
  return new Map(
    ROLES.map((role) => {
      const seconds = sluice.pidsOf(role).map((pid) => {
        const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
        const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND;
      });
      return [role, seconds.reduce((sum, one) => sum + one, 0)];
    }),
  );
}

/** Live postbacks at a steady rate; latencies by the phase they were sent in, and the edge's memory by phase. */
function startLive(sluice: RunningSluice, clickId: string) {
  const latencies = new Map<string, number[]>();
  const peaks = new Map<string, number>();
  const [edgePid = 0] = sluice.pidsOf('edge');
  let phase = 'warm-up';
  let due = performance.now();
  const timer = setInterval(() => {
    peaks.set(phase, Math.max(peaks.get(phase) ?? 0, rssMiB(edgePid)));
    for (; due < performance.now(); due += 1_000 / LIVE_A_SECOND) {
      const sentIn = phase;
      const from = performance.now();
      get(`${sluice.edgeUrl}/track/goal-by-click-id?click_id=${clickId}&goal_alias=many`)
        .then(() => {
          const list = latencies.get(sentIn) ?? [];
          latencies.set(sentIn, list);
          list.push(performance.now() - from);
        })
        .catch(() => undefined);
    }
  }, 1);
  return {
    enter: (name: string) => void (phase = name),
    stop: () => clearInterval(timer),
    report(name: string): string {
      const sorted = (latencies.get(name) ?? []).toSorted((a, b) => a - b);
      const at = (part: number): string =>
        (sorted[Math.floor(sorted.length * part)] ?? Number.NaN).toFixed(2);
      return `${String(sorted.length).padStart(6)} live calls, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(0.9999)} ms; edge RSS peak ${(peaks.get(name) ?? 0).toFixed(0)} MiB`;
    },
  };
}

/** How long live calls take from their answer to their row: ten a second are followed, by one question that goes round. */
function startDelays(sluice: RunningSluice, clickId: string) {
  const call = `${sluice.edgeUrl}/track/goal-by-click-id?click_id=${clickId}&goal_alias=many`;
  const awaited = new Map<string, number>();
  const delays: number[] = [];
  let over = false;
  const isOver = (): boolean => over && awaited.size === 0;
  const sending = setInterval(() => {
    get(call)
      .then((answer) => {
        awaited.set((JSON.parse(answer) as { hit_id: string }).hit_id, performance.now());
      })
      .catch(() => undefined);
  }, FOLLOW_MS);
  const look = async (): Promise<void> => {
    const ids = [...awaited.keys()].map((id) => `'${id}'`).join(', ');
    const query = encodeURIComponent(
      `SELECT hit_id FROM postbacks WHERE offer_id = 16 AND hit_time > now() - INTERVAL 1 MINUTE AND hit_id IN (${ids})`,
    );
    const found = await get(`${sluice.clickhouseUrl}/?user=analyst&query=${query}`);
    for (const id of found.split('\n')) {
      const from = awaited.get(id);
      if (from === undefined) continue;
      delays.push(performance.now() - from);
      awaited.delete(id);
    }
  };
  const done = (async () => {
    while (!isOver()) {
      if (awaited.size > 0) await look();
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();
  return {
    async stop(): Promise<string> {
      clearInterval(sending);
      over = true;
      await done;
      const sorted = delays.toSorted((a, b) => a - b);
      const at = (part: number): string =>
        (sorted[Math.floor(sorted.length * part)] ?? 0).toFixed(0);
      return `${sorted.length} samples, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(0.9999)} ms`;
    },
  };
}

async function upload(
  sluice: RunningSluice,
  file: string,
): Promise<{ readonly status: number; readonly text: string; readonly sentAt: number }> {
  return new Promise((resolve, reject) => {
    let sentAt = 0;
    const request = httpRequest(
      `${sluice.edgeUrl}/track/batch?advertiser_id=1`,
      {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${sluice.adminKey}`,
          'Idempotency-Key': 'bench',
          'Content-Length': statSync(file).size,
        },
      },
      (response) => {
        let text = '';
        response.on('data', (part: Buffer) => (text += part.toString()));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text, sentAt }));
      },
    ).on('error', reject);
    request.on('finish', () => (sentAt = performance.now()));
    createReadStream(file).pipe(request);
  });
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
const sluice = await startSluice();
let endLive = (): void => undefined;
try {
  await sluice.run(['catalogue', 'apply', projectPath('test/e2e/contract-catalogue.yaml')]);
  const ids = await mintClicks(sluice);
  const file = join(folder, 'batch');
  await writeFile(file, ids);
  console.log(
    `${LINES} lines, ${(statSync(file).size / 2 ** 20).toFixed(0)} MiB${GZIP ? ' gzip' : ''}`,
  );
  const live = startLive(sluice, ids[0] ?? '');
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  endLive = live.stop;
  live.enter('alone');
  const quiet = startDelays(sluice, ids[1] ?? '');
  await new Promise((resolve) => setTimeout(resolve, BASELINE_MS));
  console.log(`rows alone     ${await quiet.stop()}`);

  const busy = startDelays(sluice, ids[1] ?? '');
  live.enter('upload');
  const cpuBefore = cpuOf(sluice);
  const from = performance.now();
  const { status, text, sentAt } = await upload(sluice, file);
  const received = performance.now();
  live.enter('judging');
  const receipt = JSON.parse(text) as { batch_id: string; hits: number };
  const seconds = (ms: number): string => (ms / 1_000).toFixed(1);
  console.log(
    `${status} after ${seconds(received - from)} s (sent in ${seconds(sentAt - from)} s)`,
  );
  const progress: string[] = [];
  await waitFor(
    async () => {
      const answer = await fetch(`${sluice.apiUrl}/api/v1/batches/${receipt.batch_id}`, {
        headers: { Authorization: `Bearer ${sluice.adminKey}` },
      });
      const state = (await answer.json()) as { state: string; verdicts: object };
      if (state.state === 'done') progress.push(JSON.stringify(state.verdicts));
      return state.state === 'done';
    },
    { timeoutMs: 1_800_000, what: 'the verdicts', intervalMs: 2_000 },
  );
  const judgedMs = performance.now() - received;
  live.stop();
  console.log(
    `judged after ${seconds(judgedMs)} s more: ${Math.round(LINES / (judgedMs / 1_000))} lines/s; ${progress.join('')}`,
  );
  const cpu = [...cpuOf(sluice)].map(
    ([role, seconds]) => `${role} ${(seconds - (cpuBefore.get(role) ?? 0)).toFixed(1)} s`,
  );
  console.log(`processor time, live calls included: ${cpu.join(', ')}`);
  console.log(`rows with it   ${await busy.stop()}`);
  for (const name of ['alone', 'upload', 'judging'])
    console.log(`${name.padEnd(8)} ${live.report(name)}`);
} finally {
  endLive();
  await sluice.stop();
  rmSync(folder, { recursive: true, force: true });
}
