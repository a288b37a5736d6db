/**
 * Makes a batch of an uploaded file: unpacks it, reads it line by line, writes chunk files into a folder that is nothing
 * until it is sealed. Memory is bounded by a chunk; the disk by what the caller allows.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, mkdirSync, openSync, closeSync, readSync, rmSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { AppError } from '../domain/app-error.ts';
import { createBatchHitIds } from '../domain/batch-hit-id.ts';
import { encodeHit } from '../queue/chunk-job.ts';
import { encodeFrames } from '../spool/chunk-file.ts';
import {
  chunkFile,
  chunkHeaderOf,
  folderOf,
  identityOf,
  makeBatchesDir,
  sealFolder,
  writeWhole,
  type Batch,
  type BatchIdentity,
  type Receipt,
  type SpoolSync,
} from './batch-folder.ts';
import { createFileReader } from './file-reader.ts';
import {
  CHUNK_BYTES_MAX,
  CHUNK_HITS_MAX,
  FILE_BYTES_MAX,
  LINES_MAX,
  REJECTED_NAMED_MAX,
} from './limits.ts';
import { hitOfLine, LINE_KINDS, readLine } from './line.ts';
import { FileRefused, type FileRecord } from './record.ts';

const READ_BYTES = 256 * 1024;

const TOO_LARGE = `the file is larger than ${FILE_BYTES_MAX} bytes (1 GiB) unpacked`;

export interface Upload extends BatchIdentity {
  readonly file: string;
  readonly edgeDir: string;
  readonly edgeNumber: number;
  readonly claim: string;
  readonly keyGiven: boolean;
  readonly receivedAtMs: number;
  readonly ip: string;
  readonly userAgent: string;
  readonly uploadedBy: string;
  readonly catalogueVersion: number;
  /** Bytes that its chunks may take on the disk. */
  readonly bytesMax: number;
}

function isGzip(file: string): boolean {
  const fd = openSync(file, 'r');
  try {
    const head = Buffer.alloc(2);
    return readSync(fd, head, 0, 2, 0) === 2 && head[0] === 0x1f && head[1] === 0x8b;
  } finally {
    closeSync(fd);
  }
}

/** Gives the file's bytes, unpacked, and returns their sha256. Throws FileRefused for a broken or too large file. */
async function readUnpacked(
  file: string,
  signal: AbortSignal,
  onBytes: (bytes: Buffer) => void,
): Promise<string> {
  const hash: Hash = createHash('sha256');
  let total = 0;
  let refusal: unknown;
  const take = (bytes: Buffer): void => {
    total += bytes.length;
    if (total > FILE_BYTES_MAX) throw new FileRefused(TOO_LARGE, {}, 413);
    hash.update(bytes);
    onBytes(bytes);
  };
  const consume = async (source: AsyncIterable<Buffer>): Promise<void> => {
    try {
      for await (const bytes of source) take(bytes);
    } catch (error) {
      refusal = error;
      throw error;
    }
  };
  const source = createReadStream(file, { highWaterMark: READ_BYTES });
  try {
    if (isGzip(file))
      await pipeline(source, createGunzip({ chunkSize: READ_BYTES }), consume, { signal });
    else await pipeline(source, consume, { signal });
  } catch (error) {
    // `pipeline` may report that it stopped the other streams rather than why.
    const why = refusal ?? error;
    const code = why instanceof Error && 'code' in why ? String(why.code) : '';
    if (code.startsWith('Z_'))
      throw new FileRefused('the gzip is cut or damaged: nothing of it was stored');
    throw why;
  }
  return hash.digest('hex');
}

/** The sha256 of a file's content alone, for an upload whose key is known already. */
export function hashFile(file: string, signal: AbortSignal): Promise<string> {
  return readUnpacked(file, signal, () => undefined);
}

function createChunkFiles(upload: Upload, sync: SpoolSync, store: boolean) {
  const folder = folderOf(upload.edgeDir, upload.batchId, '.new');
  const chunks: [hits: number, bytes: number][] = [];
  let records: string[] = [];
  let bytes = 0;
  let total = 0;
  if (store) {
    makeBatchesDir(upload.edgeDir);
    mkdirSync(folder);
  }

  function flush(): void {
    if (records.length === 0) return;
    const number = chunks.length;
    const header = chunkHeaderOf(upload, number, upload.catalogueVersion);
    const data = encodeFrames([JSON.stringify(header), ...records]);
    total += data.length;
    if (total > upload.bytesMax)
      throw new AppError('SPOOL_FULL', 'the batch would fill the spool (SLUICE_SPOOL_BYTES_MAX)');
    if (store) writeWhole(chunkFile(folder, number), data, sync);
    chunks.push([records.length, data.length]);
    records = [];
    bytes = 0;
  }

  return {
    chunks,
    add(record: string): void {
      records.push(record);
      bytes += record.length;
      if (records.length >= CHUNK_HITS_MAX || bytes >= CHUNK_BYTES_MAX) flush();
    },
    flush,
  };
}

/**
 * Reads the upload and, with `store`, leaves it as a sealed folder; without, only says what its receipt would be.
 * Throws FileRefused, SPOOL_FULL, or what `signal` says; then nothing is left.
 */
export async function makeBatch(
  upload: Upload,
  sync: SpoolSync,
  store: boolean,
  signal: AbortSignal,
): Promise<Batch> {
  try {
    const batch = await readBatchFile(upload, sync, store, signal);
    if (store) sealFolder(upload.edgeDir, batch, sync);
    return batch;
  } catch (error) {
    if (store)
      rmSync(folderOf(upload.edgeDir, upload.batchId, '.new'), { recursive: true, force: true });
    if (
      error instanceof Error &&
      'code' in error &&
      ['ENOSPC', 'EDQUOT', 'EIO'].includes(String(error.code))
    )
      throw new AppError('SPOOL_FULL', `the spool can't be written: ${error.message}`, error);
    throw error;
  }
}

async function readBatchFile(
  upload: Upload,
  sync: SpoolSync,
  store: boolean,
  signal: AbortSignal,
): Promise<Batch> {
  const rules = LINE_KINDS[upload.kind];
  const hitIds = createBatchHitIds(upload.batchId, upload.receivedAtMs);
  const files = createChunkFiles(upload, sync, store);
  const rejected: Receipt['rejected'][number][] = [];
  let lines = 0;
  let rejectedLines = 0;

  function onRecord(record: FileRecord): void {
    if (lines >= LINES_MAX)
      throw new FileRefused(
        `the file has more than ${LINES_MAX} lines: send it in parts`,
        { line: record.line },
        413,
      );
    const line = readLine(record, rules, reader.columns.includes('token'));
    const fault = line.unreadable ?? line.malformed;
    if (fault !== undefined) {
      rejectedLines += 1;
      if (rejected.length < REJECTED_NAMED_MAX)
        rejected.push({ line: record.line, column: fault.column, error: fault.reason });
    }
    files.add(encodeHit(hitOfLine(line, record.line, hitIds(lines), upload)));
    lines += 1;
  }

  const reader = createFileReader(rules.parameters, onRecord);
  const contentHash = await readUnpacked(upload.file, signal, (bytes) => reader.push(bytes));
  reader.end();
  if (lines === 0) throw new FileRefused('the file has no lines to read');
  files.flush();
  return {
    ...identityOf(upload),
    claim: upload.claim,
    keyGiven: upload.keyGiven,
    contentHash,
    receivedAtMs: upload.receivedAtMs,
    format: reader.format ?? 'csv',
    uploadedBy: upload.uploadedBy,
    edgeNumber: upload.edgeNumber,
    catalogueVersion: upload.catalogueVersion,
    receipt: {
      batch_id: upload.batchId,
      lines,
      hits: lines,
      rejected,
      rejected_lines: rejectedLines,
      ignored_columns: reader.ignoredColumns,
      status_url: `/api/v1/batches/${upload.batchId}`,
    },
    chunks: files.chunks,
  };
}
