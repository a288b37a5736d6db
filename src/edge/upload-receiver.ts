/**
 * Receives the body of an upload into a file, with bounded memory: the sender is stopped while the disk is behind, while
 * the uploads' pace asks for it, and until it is known that the upload is wanted. Knows nothing of batches.
 */
import type { FileHandle } from 'node:fs/promises';
import type { UploadBody } from './uws-adapter.ts';

/** Bytes of one upload in memory, at most, before its sender is stopped; and when it goes on. */
const BUFFERED_MAX = 2 * 1024 * 1024;
const BUFFERED_LOW = 512 * 1024;
/** A sender that is not stopped and sends nothing for so long is given up. */
const SILENCE_MS = 60_000;

export type ReceiveFault = 'gone' | 'silent' | 'too-large' | 'no-room' | 'disk';

export class ReceiveFailed extends Error {
  readonly fault: ReceiveFault;
  constructor(fault: ReceiveFault, cause?: unknown) {
    super(fault, { cause });
    this.fault = fault;
  }
}

export interface UploadReceiver {
  /** Fires when the client is gone, also after its body was whole. */
  readonly gone: AbortSignal;
  /** Bytes received so far. */
  readonly bytes: number;
  /** Writes the body to the file; resolves when it is whole and written. Rejects with ReceiveFailed. */
  into(file: FileHandle): Promise<void>;
  /** The body is not wanted: what still comes is dropped. */
  discard(): void;
}

/** What the uploads of a process share, so that however many they leave the event loop to others. */
export interface UploadPace {
  /** Takes the bytes into account; ms that their sender should be stopped for. */
  take(bytes: number): number;
}

/** Bytes are received as they come, and the next ones are waited for as long as these should have taken. */
export function createUploadPace(bytesASecond: number, clock: () => number): UploadPace {
  let paidUntil = 0;
  return {
    take(bytes) {
      const now = clock();
      paidUntil = Math.max(now, paidUntil) + (bytes * 1_000) / bytesASecond;
      return paidUntil - now;
    },
  };
}

export interface ReceiverLimits {
  readonly pace: UploadPace;
  readonly bytesMax: number;
  /** False when what was received, `bytes` of this upload with it, is more than can be taken now. */
  readonly hasRoom: () => boolean;
}

/** Why a sender is stopped: the upload may not be wanted, the disk is behind, the pace asks for it. */
type StopReason = 'undecided' | 'disk' | 'pace';

/** A write may take less than it was given. */
async function writeWhole(file: FileHandle, bytes: Buffer): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at);
      at += bytesWritten;
    }
  } catch (error) {
    throw new ReceiveFailed('disk', error);
  }
}

/** Call it before the request's handler returns. */
export function createUploadReceiver(body: UploadBody, limits: ReceiverLimits): UploadReceiver {
  const gone = new AbortController();
  let queue: Buffer[] = [];
  let total = 0;
  let buffered = 0;
  let ended = false;
  let discarded = false;
  let fault: ReceiveFailed | undefined;
  let silence: NodeJS.Timeout | undefined;
  /** The sender goes on when nothing is left in it. */
  const stops = new Set<StopReason>();
  /** Wakes `into`. */
  let wake: () => void = () => undefined;

  function fail(kind: ReceiveFault): void {
    fault ??= new ReceiveFailed(kind);
    wake();
  }

  function stop(why: StopReason): void {
    stops.add(why);
    body.pause();
  }

  function goOn(why: StopReason): void {
    if (stops.delete(why) && stops.size === 0) body.resume();
  }

  const hasFailed = (): boolean => fault !== undefined;

  function watchSilence(): void {
    clearTimeout(silence);
    if (!ended && !discarded) silence = setTimeout(() => fail('silent'), SILENCE_MS);
  }

  body.take(
    (bytes, isLast) => {
      if (discarded || fault !== undefined) return;
      total += bytes.length;
      ended = isLast;
      watchSilence();
      if (total > limits.bytesMax) fail('too-large');
      else if (!limits.hasRoom()) fail('no-room');
      else {
        queue.push(bytes);
        buffered += bytes.length;
        if (buffered > BUFFERED_MAX) stop('disk');
        if (!isLast) {
          stop('pace');
          setTimeout(goOn, limits.pace.take(bytes.length), 'pace');
        }
        wake();
      }
    },
    () => {
      gone.abort();
      if (!ended) fail('gone');
    },
  );
  // What came with the head is kept.
  stop('undecided');

  async function writeQueue(file: FileHandle): Promise<void> {
    while (queue.length > 0 && !hasFailed()) {
      const pieces = queue;
      queue = [];
      const bytes = Buffer.concat(pieces);
      await writeWhole(file, bytes);
      buffered -= bytes.length;
      if (buffered <= BUFFERED_LOW) goOn('disk');
    }
  }

  return {
    gone: gone.signal,
    get bytes() {
      return total;
    },
    async into(file) {
      goOn('undecided');
      watchSilence();
      try {
        for (;;) {
          await writeQueue(file);
          if (fault !== undefined) throw fault;
          if (ended && queue.length === 0) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
            if (fault !== undefined || ended || queue.length > 0) resolve();
          });
        }
      } finally {
        clearTimeout(silence);
      }
    },
    discard() {
      discarded = true;
      queue = [];
      clearTimeout(silence);
    },
  };
}
