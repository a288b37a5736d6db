/**
 * 10,000 generated odd requests over raw sockets against a real edge, with Redis and ClickHouse unreachable: no crash,
 * and every request that reaches a handler is a stored hit or a counted refusal (invariants 1 and 8).
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { EMPTY_CATALOGUE } from '../../src/domain/catalogue.ts';
import { startEdgeRole } from '../../src/edge/role.ts';
import { decodeChunkFile } from '../../src/spool/chunk-file.ts';

const REQUESTS = 10_000;
const SEED = Number(process.env['SLUICE_TEST_SEED'] ?? 20_261_121);
const PARALLEL = 32;

function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function generate(random: (below: number) => number): Buffer {
  const pick = <T>(items: readonly T[], fallback: T): T => items[random(items.length)] ?? fallback;
  const path = pick(
    [
      '/click',
      '/track/goal',
      '/track/conv',
      '/track/promo',
      '/track/nope',
      '/track/',
      '/',
      '/%zz',
      '/track/goal/..',
      '/track/conv-change',
    ],
    '/',
  );
  const query = pick(
    [
      '',
      '?',
      '?%',
      '?%zz=%',
      '?o=1&o=&o=2',
      '?=&&=&a',
      '?amount=%00',
      '?click_id={click_id}',
      '?return=img',
      '?__proto__=1',
      `?x=${'y'.repeat(random(17_000))}`,
      '?a=\xff\xfe',
    ],
    '',
  );
  const method = pick(
    ['GET', 'GET', 'POST', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH'],
    'GET',
  );
  const body =
    method === 'GET' || method === 'HEAD'
      ? ''
      : pick(
          [
            '',
            '{',
            '{"amount":[1]}',
            'a=%&b=%zz',
            '\x00\xff\xfe',
            'z'.repeat(random(70_000)),
            '"x"',
            '{"a":1}',
          ],
          '',
        );
  const type = pick(
    [
      '',
      'application/json',
      'application/x-www-form-urlencoded; charset=utf-16',
      'text/xml',
      'multipart/form-data',
      '\xe9',
    ],
    '',
  );
  const flood = Array.from(
    { length: pick([0, 0, 0, 10, 40], 0) },
    (_, index) => `X-Flood-${index}: ${'f'.repeat(random(500))}\r\n`,
  ).join('');
  const extra = pick(
    [
      '',
      'Cookie: slc_1=zz; slc_=; x=y\r\n',
      'Content-Encoding: gzip\r\n',
      'X-Forwarded-For: nonsense, ,1\r\n',
      'Origin: null\r\n',
      'constructor: 1\r\n',
    ],
    '',
  );
  const head = `${method} ${path}${query} HTTP/1.1\r\nHost: x\r\n${type === '' ? '' : `Content-Type: ${type}\r\n`}${extra}${flood}Content-Length: ${body.length}\r\n\r\n`;
  return Buffer.from(head + body, 'latin1');
}

/** Status of the first answer, or 0 when the connection ended without one. */
function send(port: number, request: Buffer): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let status = 0;
    socket.on('data', (data) => {
      if (status === 0) status = Number(data.subarray(9, 12).toString('latin1'));
      socket.destroy();
    });
    // A refused upload may be reset while it is being sent: that ends in `close` as well.
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(status));
    socket.write(request);
  });
}

function storedHits(dir: string): number {
  return readdirSync(dir)
    .filter((name) => /\.(open|ready)$/.test(name))
    .reduce((sum, name) => sum + decodeChunkFile(readFileSync(join(dir, name))).records.length, 0);
}

test(`${REQUESTS} odd requests (seed ${SEED}) end as a stored hit or a counted refusal each`, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-odd-'));
  const spool = join(dataDir, 'spool', '0');
  mkdirSync(spool, { recursive: true });
  writeFileSync(join(spool, 'catalogue.json'), JSON.stringify({ ...EMPTY_CATALOGUE, version: 1 }));
  const edge = await startEdgeRole({
    dataDir,
    host: '127.0.0.1',
    port: 0,
    edgeNumberBase: 0,
    sync: 'os',
    spoolBytesMax: 1e9,
    trustedProxies: ['127.0.0.0/8'],
    trafficbackUrl: null,
    adminKey: '',
    redisUrl: 'redis://127.0.0.1:1',
    clickhouse: { url: 'http://127.0.0.1:1', user: 'x', password: '', database: 'x' },
    logger: pino({ level: 'silent' }),
    onFatal(error) {
      throw error;
    },
  });
  try {
    const random = createRandom(SEED);
    const statuses = new Map<number, number>();
    let left = REQUESTS;
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        while (left-- > 0) {
          const status = await send(edge.port, generate(random));
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
        }
      }),
    );
    const metrics = await (await fetch(`http://127.0.0.1:${edge.port}/metrics`)).text();
    const sum = (name: string): number =>
      [...metrics.matchAll(new RegExp(`^${name}\\{[^}]*\\} (\\d+)$`, 'gm'))].reduce(
        (total, match) => total + Number(match[1]),
        0,
      );
    const hits = sum('sluice_edge_hits_stored_total');
    const refused = sum('sluice_edge_requests_refused_total');
    const silent = statuses.get(0) ?? 0;
    console.log(JSON.stringify({ hits, refused, statuses: Object.fromEntries(statuses) }));
    expect(storedHits(spool)).toBe(hits);
    expect(hits).toBeGreaterThan(REQUESTS / 4);
    expect(hits + refused).toBeLessThanOrEqual(REQUESTS);
    expect(hits + refused).toBeGreaterThanOrEqual(REQUESTS - silent - (statuses.get(400) ?? 0));
    expect(statuses.has(500)).toBe(false);
  } finally {
    await edge.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 120_000);
