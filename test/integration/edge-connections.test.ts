/**
 * Connections: kept alive, pipelined, cut; and two edges on one port. Whatever a client does on a connection, what it
 * got an answer for is stored (invariant 1).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { catalogue } from '../support/catalogue.ts';
import { ask, sendRaw, type RawAnswer } from '../support/raw-http.ts';
import { readSpool, startEdge, type TestEdge } from '../support/start-edge.ts';
import { freePort } from '../support/start-sluice.ts';
import { waitFor } from '../support/wait-for.ts';

let edge: TestEdge;
beforeAll(async () => {
  edge = await startEdge(catalogue());
});
afterAll(async () => {
  await edge.close();
});

const SOON = { timeoutMs: 5_000, what: 'an answer' };
const hitIdOf = (answer: RawAnswer): string =>
  (JSON.parse(answer.body.toString()) as { hit_id: string }).hit_id;
const request = (query: string): string => `GET /track/goal?${query} HTTP/1.1\r\nHost: x\r\n\r\n`;

test('a connection serves one request after the other', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number>();
  try {
    for (let n = 0; n < 50; n++) {
      const body = await new Promise<string>((resolve, reject) => {
        get(`${edge.url}/track/goal?adv_param1=keep-${n}`, { agent }, (response) => {
          ports.add(response.socket.localPort ?? 0);
          let text = '';
          response.on('data', (part: Buffer) => (text += part.toString()));
          response.on('end', () => resolve(text));
        }).once('error', reject);
      });
      const { hit_id } = JSON.parse(body) as { hit_id: string };
      expect(edge.hit(hit_id)?.query).toBe(`adv_param1=keep-${n}`);
    }
    expect(ports.size).toBe(1);
  } finally {
    agent.destroy();
  }
});

test('after a HEAD a connection serves the next request', async () => {
  const head = `HEAD /track/goal?adv_param1=head HTTP/1.1\r\nHost: x\r\n\r\n`;
  const socket = connect(edge.port, '127.0.0.1');
  try {
    let received = '';
    socket.on('data', (part: Buffer) => (received += part.toString('latin1')));
    socket.write(head);
    await waitFor(() => received.endsWith('\r\n\r\n'), SOON);
    expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    received = '';
    socket.write(request('adv_param1=after-head'));
    await waitFor(() => received.includes('hit_id'), SOON);
    expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  } finally {
    socket.destroy();
  }
});

test('of pipelined requests every one that is answered is stored, in order', async () => {
  for (const count of [2, 5, 20]) {
    const sent = Array.from({ length: count }, (_, n) => `adv_param1=pipe-${count}-${n}`);
    const answers = await sendRaw(edge.port, sent.map(request).join(''), { expected: count });
    const stored = new Map(edge.stored().map((hit) => [hit.hitId, hit.query]));
    for (const [index, answer] of answers.entries()) {
      expect(answer.status).toBe(200);
      expect(stored.get(hitIdOf(answer))).toBe(sent[index]);
    }
  }
  expect((await ask(edge.port, 'GET', '/healthz')).status).toBe(200);
});

/** Sends a request in two pieces; resolves with the status of the answer, 0 without one. */
function sendSplit(text: string, at: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(edge.port, '127.0.0.1');
    socket.setNoDelay(true);
    let status = 0;
    socket.on('data', (data) => {
      status ||= Number(data.subarray(9, 12).toString('latin1'));
      socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(status));
    socket.write(text.slice(0, at), () => {
      // Another connection's answer proves that the edge has read what came before.
      void ask(edge.port, 'GET', '/healthz').then(() => socket.write(text.slice(at)));
    });
  });
}

test('a request that comes in two pieces is one hit, wherever it is cut', async () => {
  const text = (at: number): string =>
    `POST /track/goal?adv_param1=cut-${at}- HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n{"adv_param2":""}`;
  const offsets = Array.from({ length: text(10).length - 1 }, (_, index) => index + 1);
  const statuses = new Map<number, number>();
  for (const at of offsets) statuses.set(at, await sendSplit(text(at), at));
  const hits = new Map<number, number>();
  for (const { query } of edge.stored()) {
    const at = Number(/^adv_param1=cut-(\d+)-$/.exec(query)?.[1] ?? 0);
    hits.set(at, (hits.get(at) ?? 0) + 1);
  }
  const endOfRequestLine = text(10).indexOf('\r\n') + 2;
  for (const at of offsets) {
    const status = statuses.get(at);
    // A defect of the HTTP library (fixed in later ones): a cut request line is refused with 505. It is not stored then.
    if (at < endOfRequestLine && status === 505) expect(hits.get(at) ?? 0, `cut at ${at}`).toBe(0);
    else expect([status, hits.get(at)], `cut at ${at}`).toEqual([200, 1]);
  }
});

test('a client that leaves in the middle of its body leaves no hit and is counted', async () => {
  const aborted = () => edge.metric(/sluice_edge_requests_refused_total\{reason="aborted"\}/);
  const before = await aborted();
  await new Promise<void>((resolve) => {
    const socket = connect(edge.port, '127.0.0.1');
    socket.on('close', () => resolve());
    socket.write(
      'POST /track/goal HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nadv_param1=cut',
      () => socket.destroy(),
    );
  });
  await waitFor(async () => (await aborted()) === before + 1, {
    timeoutMs: 5_000,
    what: 'the cut request to be counted',
  });
  expect(edge.stored().some(({ body }) => body.includes('cut'))).toBe(false);
});

test('two edges share a port, each with a folder of its own, and nothing is lost between them', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'sluice-two-'));
  const port = await freePort();
  const first = await startEdge(catalogue(), { dataDir, port });
  const second = await startEdge(catalogue(), { dataDir, port, edgeNumberBase: 1 });
  try {
    expect([first.role.edgeNumber, second.role.edgeNumber]).toEqual([0, 1]);
    const clicks = await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        ask(port, 'GET', `/click?o=16&a=1&return=click_id&sub_id1=${n}`),
      ),
    );
    const ids = clicks.map(
      ({ body }) => (JSON.parse(body.toString()) as { click_id: string }).click_id,
    );
    expect(new Set(ids).size).toBe(100);
    const chunks = readSpool(first.spoolDir);
    const stored = chunks.flatMap(({ hits }) =>
      hits.map((hit) => (hit.endpoint === 'click' ? hit.clickId : '')),
    );
    expect(stored.toSorted()).toEqual(ids.toSorted());
    // The kernel spreads connections: with 100 of them both have some.
    expect(new Set(chunks.map(({ header }) => header.edgeNumber))).toEqual(new Set([0, 1]));
  } finally {
    await Promise.all([first.close(), second.close()]);
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 60_000);

test('a request hidden in the body of another is never a hit', async () => {
  const hidden = 'GET /track/goal?adv_param1=SMUGGLED HTTP/1.1\r\nHost: a\r\n\r\n';
  const chunked = `${hidden.length.toString(16)}\r\n${hidden}\r\n0\r\n\r\n`;
  const shapes = [
    `Content-Length: ${hidden.length}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
    `Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n${chunked}`,
    `Content-Length: 4\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
    `Content-Length: +4\r\n\r\n${hidden}`,
    `Content-Length: 0x4\r\n\r\n${hidden}`,
    `Transfer-Encoding: xchunked\r\n\r\n${chunked}`,
    `Transfer-Encoding : chunked\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`,
    `Content-Length: ${hidden.length}\r\n\r\n${hidden}`,
  ];
  for (const shape of shapes) {
    await sendRaw(edge.port, `POST /track/goal?x=1 HTTP/1.1\r\nHost: a\r\n${shape}`, {
      expected: 2,
    });
  }
  expect((await ask(edge.port, 'GET', '/healthz')).status).toBe(200);
  expect(edge.stored().filter(({ query }) => query.includes('SMUGGLED'))).toEqual([]);
}, 120_000);
