/** Uploads as received: their pace, and the sender that is stopped for it and goes on. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createUploadPace, createUploadReceiver } from '../../src/edge/upload-receiver.ts';
import { waitFor } from '../support/wait-for.ts';

test('uploads together are as fast as the pace, however their pieces come', () => {
  let now = 1_000;
  const pace = createUploadPace(1_000, () => now);
  expect(pace.take(100)).toBe(100);
  // Of another upload, at the same moment: behind the first.
  expect(pace.take(50)).toBe(150);
  now += 150;
  expect(pace.take(10)).toBe(10);
  // An hour without uploads is no credit.
  now += 3_600_000;
  expect(pace.take(100)).toBe(100);
});

test('a sender is stopped while its pace asks for it, and its file is whole', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-upload-'));
  const pieces = Array.from({ length: 6 }, (_, n) => Buffer.alloc(1_000, 65 + n));
  let paused = false;
  let onBytes: (bytes: Buffer, isLast: boolean) => void = () => undefined;
  const receiver = createUploadReceiver(
    {
      take(listener) {
        onBytes = listener;
      },
      pause: () => void (paused = true),
      resume: () => void (paused = false),
    },
    {
      pace: createUploadPace(20_000, () => performance.now()),
      bytesMax: 1e6,
      hasRoom: () => true,
    },
  );
  const file = await open(join(dir, 'upload'), 'wx');
  try {
    expect(paused).toBe(true);
    const written = receiver.into(file);
    const began = performance.now();
    for (const [index, piece] of pieces.entries()) {
      await waitFor(() => !paused, {
        timeoutMs: 5_000,
        what: 'the sender to go on',
        intervalMs: 1,
      });
      onBytes(piece, index === pieces.length - 1);
    }
    await written;
    // Five pieces of 50 ms each went before the last.
    expect(performance.now() - began).toBeGreaterThan(240);
    expect(readFileSync(join(dir, 'upload'))).toEqual(Buffer.concat(pieces));
  } finally {
    await file.close();
    rmSync(dir, { recursive: true });
  }
});
