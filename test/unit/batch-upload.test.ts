/** Uploads at the edge beside each other and one after the other: what they may take of the spool. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { BatchProcess } from '../../src/batch/batch-process.ts';
import { FILE_BYTES_MAX } from '../../src/batch/limits.ts';
import { createCatalogueSnapshot } from '../../src/domain/catalogue.ts';
import { createHitIds } from '../../src/domain/uuid-v7.ts';
import type { Answer } from '../../src/edge/answers.ts';
import { createBatchUploads, type BatchUploads } from '../../src/edge/batch-upload.ts';
import { createClientReader } from '../../src/edge/client.ts';
import { createEdgeCounters } from '../../src/edge/counters.ts';
import type { UploadRequest } from '../../src/edge/uws-adapter.ts';
import { advertiser, catalogue } from '../support/catalogue.ts';

const SPOOL_BYTES_MAX = 1_000;
const ADMIN_KEY = 'the-admin-key-of-tests';

let edgeDir = '';
let uploads: BatchUploads;
beforeEach(() => {
  edgeDir = mkdtempSync(join(tmpdir(), 'sluice-uploads-'));
  const snapshot = createCatalogueSnapshot(catalogue({ advertisers: [advertiser({ id: 1 })] }));
  uploads = createBatchUploads({
    edgeDir,
    edgeNumber: 0,
    batches: readsNothing,
    adminKey: ADMIN_KEY,
    snapshot: () => snapshot,
    hitIds: createHitIds(Date.now),
    clientOf: createClientReader([]),
    spoolBytes: () => 0,
    spoolBytesMax: SPOOL_BYTES_MAX,
    clock: Date.now,
    counters: createEdgeCounters(),
    logger: pino({ level: 'silent' }),
  });
});
afterEach(() => rmSync(edgeDir, { recursive: true, force: true }));

const readsNothing: BatchProcess = {
  start: () => undefined,
  holderOf: () => Promise.resolve(null),
  store: ({ upload: { bytesMax } }) =>
    Promise.resolve({
      kind: 'refused',
      status: 400,
      reason: `${bytesMax} bytes`,
      line: null,
      column: null,
    }),
  adopt: () => undefined,
  release: () => undefined,
  unfinished: 0,
  bytes: 0,
  quarantined: 0,
  pid: undefined,
  close: () => Promise.resolve(),
};

const REQUEST: UploadRequest = {
  method: 'POST',
  path: '/track/batch',
  query: 'advertiser_id=1',
  peer: '127.0.0.1',
  origin: '',
  accept: '',
  fetchDest: '',
  cookie: '',
  userAgent: '',
  referer: '',
  contentType: '',
  contentEncoding: '',
  forwardedFor: '',
  forwardedProto: '',
  authorization: `Bearer ${ADMIN_KEY}`,
  idempotencyKey: undefined,
  contentLength: undefined,
};

function send(bytes: number, fields: Partial<UploadRequest> = {}): Promise<Answer> {
  return new Promise((resolve) => {
    uploads.upload(
      { ...REQUEST, ...fields },
      {
        // Not filled, so that the largest takes no memory.
        take: (onBytes) => setImmediate(onBytes, Buffer.allocUnsafeSlow(bytes), true),
        pause: () => undefined,
        resume: () => undefined,
      },
      resolve,
    );
  });
}

it('a file over the largest size takes nothing of the room, and gives none', async () => {
  const { body: before } = await send(300);
  expect(String(before)).toContain('500 bytes');
  expect((await send(FILE_BYTES_MAX + 1)).status).toMatch(/^413/);
  expect((await send(900)).status).toMatch(/^503/);
  expect((await send(300)).body).toEqual(before);
});

it('uploads at the same time share the room', async () => {
  const statuses = (await Promise.all([send(500), send(500)])).map(({ status }) => status);
  expect(statuses.toSorted()).toEqual(['400 Bad Request', '503 Service Unavailable']);
});

it.each(['', 'a\u{fc}b', 'x'.repeat(201)])('the Idempotency-Key %j is refused', async (key) => {
  const { status, body } = await send(1, { idempotencyKey: key });
  expect(status).toBe('400 Bad Request');
  expect(String(body)).toContain('Idempotency-Key must be');
});
