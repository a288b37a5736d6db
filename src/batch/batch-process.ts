/**
 * The edge's side of its batch process: starts it, starts it again when it dies, and turns questions into promises.
 * A question whose process dies is answered by the disk, which says what exists, else 'unavailable'.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { BEHIND_ALL } from '../niceness.ts';
import { folderOf, readBatch, type Receipt } from './batch-folder.ts';
import type { KeyHolder } from './key-holders.ts';
import type {
  BatchSettings,
  FromBatchProcess,
  Question,
  StoreOutcome,
  StoreRequest,
  ToBatchProcess,
} from './messages.ts';
import type { Upload } from './store-file.ts';

export interface BatchProcess {
  /** Starts it, if nothing has yet. */
  start(): void;
  /** Rejects when it can't be known. */
  holderOf(keyHash: string): Promise<KeyHolder | null>;
  store(request: StoreRequest, signal: AbortSignal): Promise<StoreOutcome>;
  /** Has the batches of an edge's folder seen through, also after a restart of the process. */
  adopt(edgeDir: string): void;
  /** Forgets a folder that is given up. */
  release(edgeDir: string): void;
  /** Batches that are not confirmed whole. */
  readonly unfinished: number;
  /** Bytes of batches that are not confirmed. */
  readonly bytes: number;
  /** Damaged batches, and stretches of their chunks, that went to quarantine since the edge started. */
  readonly quarantined: number;
  readonly pid: number | undefined;
  close(): Promise<void>;
}

interface Asked {
  readonly resolve: (message: FromBatchProcess) => void;
  readonly reject: (error: Error) => void;
}

const RESTART_MS = 500;
/** How long it may take to end when asked. */
const CLOSE_MS = 2_000;
/** A few pieces of a file and a few chunks: bounded on purpose, whatever the file. */
const HEAP_MIB = 192;

const script = fileURLToPath(new URL('./process.js', import.meta.url));
/** From source, as tests run: the same file, not compiled. */
const isSource = import.meta.url.endsWith('.ts');

/** Of a batch that exists; undefined also when its folder can't be read. */
function receiptOnDisk({ edgeDir, batchId }: Upload): Receipt | undefined {
  try {
    return readBatch(folderOf(edgeDir, batchId, ''))?.receipt;
  } catch {
    return undefined;
  }
}

export function createBatchProcess(settings: BatchSettings, logger: Logger): BatchProcess {
  const asked = new Map<number, Asked>();
  const folders = new Set<string>();
  let child: ChildProcess | undefined;
  let number = 0;
  let closed = false;
  let restart: NodeJS.Timeout | undefined;
  let unfinished = 0;
  let bytes = 0;
  let quarantined = 0;
  /** By processes that have ended. */
  let quarantinedBefore = 0;

  function tell(message: ToBatchProcess): void {
    child?.send(message, (error) => {
      if (error !== null) logger.debug({ error: error.message }, 'the batch process is gone');
    });
  }

  function onMessage(message: FromBatchProcess): void {
    if (message.type === 'progress') {
      ({ unfinished, bytes, quarantined } = message);
      return;
    }
    const question = asked.get(message.number);
    asked.delete(message.number);
    if (message.type === 'failed') question?.reject(new Error(message.reason));
    else question?.resolve(message);
  }

  function onExit(code: number | null, signal: string | null): void {
    child = undefined;
    quarantinedBefore += quarantined;
    quarantined = 0;
    const questions = [...asked.values()];
    asked.clear();
    for (const { reject } of questions) reject(new Error('the batch process ended'));
    if (closed) return;
    logger.warn({ why: signal ?? code }, 'the batch process ended; starting it again');
    // What it was told to see through is on the disk; without any it waits for the next upload.
    if (folders.size > 0) restart = setTimeout(start, RESTART_MS);
  }

  function start(): void {
    if (child !== undefined || closed) return;
    clearTimeout(restart);
    child = fork(isSource ? script.replace(/\.js$/, '.ts') : script, [], {
      // From its first moment: loading what it needs costs half a second, which answers would wait for.
      execPath: 'nice',
      execArgv: [
        '-n',
        String(BEHIND_ALL),
        process.execPath,
        `--max-old-space-size=${HEAP_MIB}`,
        ...(isSource ? ['--import', 'tsx'] : []),
      ],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    child.on('message', onMessage);
    child.once('exit', onExit);
    child.once('error', (error) => logger.error({ error: error.message }, 'the batch process'));
    tell({ type: 'start', settings });
    for (const edgeDir of folders) tell({ type: 'adopt', edgeDir });
  }

  function ask(question: Question, signal?: AbortSignal): Promise<FromBatchProcess> {
    if (closed) return Promise.reject(new Error('the edge is ending'));
    start();
    number += 1;
    const mine = number;
    const answer = new Promise<FromBatchProcess>((resolve, reject) => {
      asked.set(mine, { resolve, reject });
    });
    signal?.addEventListener('abort', () => tell({ type: 'cancel', number: mine }), { once: true });
    tell({ type: 'ask', number: mine, question });
    return answer;
  }

  return {
    start,
    async holderOf(keyHash) {
      const answer = await ask({ type: 'holder', keyHash });
      return answer.type === 'holder' ? answer.holder : null;
    },
    async store(request, signal) {
      const uncertain = request.upload.keyGiven && !request.dryRun;
      folders.add(request.upload.edgeDir);
      try {
        const answer = await ask({ type: 'store', request }, signal);
        if (answer.type === 'outcome') return answer.outcome;
      } catch (error) {
        logger.warn({ error: String(error) }, 'an upload got no answer from the batch process');
        const receipt = receiptOnDisk(request.upload);
        if (receipt !== undefined) return { kind: 'stored', receipt, repeated: false };
      }
      return { kind: 'unavailable', reason: 'the batch could not be read now', uncertain };
    },
    adopt(edgeDir) {
      folders.add(edgeDir);
      if (child === undefined) start();
      else tell({ type: 'adopt', edgeDir });
    },
    release: (edgeDir) => void folders.delete(edgeDir),
    get unfinished() {
      return unfinished;
    },
    get bytes() {
      return bytes;
    },
    get quarantined() {
      return quarantinedBefore + quarantined;
    },
    get pid() {
      return child?.pid;
    },
    async close() {
      closed = true;
      clearTimeout(restart);
      const ending = child;
      if (ending === undefined) return;
      const gone = new Promise<void>((resolve) => ending.once('exit', () => resolve()));
      tell({ type: 'close' });
      const killer = setTimeout(() => ending.kill('SIGKILL'), CLOSE_MS);
      await gone;
      clearTimeout(killer);
    },
  };
}
