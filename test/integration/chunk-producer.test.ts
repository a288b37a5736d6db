/** The producer's promise to the confirmer: a chunk that is queued again will run, whatever Redis still holds of it. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CONTENT_IN_FILE, readContent } from '../../src/queue/chunk-content.ts';
import type { ChunkJob } from '../../src/queue/chunk-job.ts';
import { createChunkProducer, type ChunkProducer } from '../../src/queue/chunk-producer.ts';
import { chunkContentKey } from '../../src/redis/keys.ts';
import { startRedis, type TestRedis } from '../support/start-redis.ts';

let server: TestRedis;
let producer: ChunkProducer;
/** A spool. */
const dir = mkdtempSync(join(tmpdir(), 'sluice-content-'));
const PREFIX = `{producer-${process.pid}}`;
const CHUNK_ID = '0-1000-1-t';
const JOB: ChunkJob = {
  header: {
    chunkId: CHUNK_ID,
    kind: 'conversions',
    edgeNumber: 0,
    openedAtMs: 1_000,
    catalogueVersion: 1,
  },
  hitCount: 0,
};

beforeAll(async () => {
  server = await startRedis();
  producer = createChunkProducer(server.redis, PREFIX);
});
afterAll(async () => {
  await producer.close();
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

it('queues a chunk once, however often it is added', async () => {
  await producer.enqueue(JOB, producer.openContent(JOB.header));
  await producer.enqueue(JOB, producer.openContent(JOB.header));
  expect(await producer.isLive('conversions', CHUNK_ID)).toBe(true);
  expect(await server.redis.llen(`${PREFIX}:conversions:wait`)).toBe(1);
});

it('queues a chunk again whose job a torn log left in no list', async () => {
  await server.redis.del(`${PREFIX}:conversions:wait`);
  expect(await server.redis.exists(`${PREFIX}:conversions:${CHUNK_ID}`)).toBe(1);
  expect(await producer.isLive('conversions', CHUNK_ID)).toBe(false);
  await producer.requeue(JOB, Buffer.from('whole'));
  expect(await producer.isLive('conversions', CHUNK_ID)).toBe(true);
  expect(await server.redis.lrange(`${PREFIX}:conversions:wait`, 0, -1)).toEqual([CHUNK_ID]);
  expect(await readContent(server.redis, PREFIX, dir, CHUNK_ID)).toEqual(Buffer.from('whole'));
});

it('brings a content whole that went in pieces, and lets it expire', async () => {
  const pieces = Array.from({ length: 50 }, (_, index) => Buffer.alloc(index * 400, index));
  const content = producer.openContent(JOB.header);
  for (const piece of pieces) content.add(piece);
  await content.end();
  expect(await readContent(server.redis, PREFIX, dir, CHUNK_ID)).toEqual(Buffer.concat(pieces));
  expect(await server.redis.ttl(chunkContentKey(PREFIX, CHUNK_ID))).toBeGreaterThan(0);
});

it('contents that are open side by side do not mix, also when their pieces are used again', async () => {
  for (const round of [1, 2, 3]) {
    const contents = ['a', 'b'].map((name, index) => ({
      chunkId: `${CHUNK_ID}-${name}`,
      content: producer.openContent({ ...JOB.header, chunkId: `${CHUNK_ID}-${name}` }),
      fill: Buffer.alloc(10_000, 16 * round + index),
    }));
    for (let part = 0; part < 30; part++)
      for (const { content, fill } of contents) content.add(fill.subarray(part));
    await Promise.all(contents.map(({ content }) => content.end()));
    for (const { chunkId, fill } of contents) {
      const whole = Buffer.concat(Array.from({ length: 30 }, (_, part) => fill.subarray(part)));
      expect((await readContent(server.redis, PREFIX, dir, chunkId))?.equals(whole)).toBe(true);
      await server.redis.del(chunkContentKey(PREFIX, chunkId));
    }
  }
});

it('reads the file of a chunk whose content is not in Redis, once it is closed', async () => {
  const chunkId = '7-1000-2-c';
  const header = { ...JOB.header, chunkId, edgeNumber: 7 };
  const read = () => readContent(server.redis, PREFIX, dir, chunkId);
  mkdirSync(join(dir, '7'));
  writeFileSync(join(dir, '7', `${chunkId}.open`), 'of the file');
  expect(await read()).toBeUndefined();
  renameSync(join(dir, '7', `${chunkId}.open`), join(dir, '7', `${chunkId}.ready`));
  await producer.enqueue({ header, hitCount: 0 }, CONTENT_IN_FILE);
  expect(await server.redis.exists(chunkContentKey(PREFIX, chunkId))).toBe(0);
  expect(await read()).toEqual(Buffer.from('of the file'));
  // What the edge sends of a file that it found damaged goes before the file.
  await producer.requeue({ header, hitCount: 0 }, Buffer.from('intact'));
  expect(await read()).toEqual(Buffer.from('intact'));
});

it('looks for no file outside of the spool', async () => {
  writeFileSync(join(dir, 'outside.ready'), 'x');
  for (const chunkId of ['../outside', '7-1-1-c/../../outside', ''])
    expect(await readContent(server.redis, PREFIX, dir, chunkId)).toBeUndefined();
});
