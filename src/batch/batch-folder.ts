/**
 * A batch on disk: `<edge's spool folder>/batches/<batch id>` with its chunk files and its description. The folder's
 * name says how far it is, and each step is one rename, so that a kill leaves the step before or after, nothing between:
 *   `<upload id>.part`  what an edge is receiving; of a dead edge it is nothing
 *   `<batch id>.new`    being made of an upload; of a dead process it is nothing, and goes by way of `.trash`
 *   `<batch id>.prepared`  whole; whether it is the batch of its idempotency key is not known yet
 *   `<batch id>`        exists: its chunks are queued, `<n>.chunk` → `<n>.v<catalogue version>.ready`, until all are confirmed
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf } from '../domain/app-error.ts';
import type { BatchKind, ChunkHeader } from '../domain/hit.ts';
import { quarantineFolder, type Recovery } from '../spool/recover.ts';
import type { FileFormat } from './file-reader.ts';
import { CHUNKS_MAX } from './limits.ts';

export type SpoolSync = 'os' | 'disk';

/** The answer to an upload; stored as it was given. Names are those of CONTRACT.md. */
export interface Receipt {
  readonly batch_id: string;
  readonly lines: number;
  readonly hits: number;
  /** The first 1,000. */
  readonly rejected: readonly {
    readonly line: number;
    readonly column: string | number | null;
    readonly error: string;
  }[];
  readonly rejected_lines: number;
  readonly ignored_columns: readonly string[];
  readonly status_url: string;
}

/** What an upload says of itself, and every chunk of its batch says on. Names are those of `BatchOrigin`. */
export interface BatchIdentity {
  readonly batchId: string;
  readonly advertiserId: number;
  readonly kind: BatchKind;
  readonly author: string;
  readonly suppressPostbacks: boolean;
}

export interface Batch extends BatchIdentity {
  /** See `claims.ts`. */
  readonly claim: string;
  readonly keyGiven: boolean;
  readonly contentHash: string;
  readonly receivedAtMs: number;
  readonly format: FileFormat;
  readonly uploadedBy: string;
  readonly edgeNumber: number;
  /** In force when it was received; its chunks are judged under this one or a newer. */
  readonly catalogueVersion: number;
  readonly receipt: Receipt;
  /** Hits and bytes of each chunk, in order. */
  readonly chunks: readonly (readonly [hits: number, bytes: number])[];
}

const DESCRIPTION = 'batch.json';
const BEFORE_KINDS = { kind: 'postbacks', author: '', suppressPostbacks: false } as const;

export const batchesDir = (edgeDir: string): string => join(edgeDir, 'batches');
export const partFile = (edgeDir: string, uploadId: string): string =>
  join(batchesDir(edgeDir), `${uploadId}.part`);
export const folderOf = (
  edgeDir: string,
  batchId: string,
  step: '' | '.new' | '.prepared',
): string => join(batchesDir(edgeDir), `${batchId}${step}`);
export const chunkFile = (folder: string, number: number): string =>
  join(folder, `${String(number).padStart(6, '0')}.chunk`);

/** The part of a batch or an upload that says what it is. */
export function identityOf(batch: BatchIdentity): BatchIdentity {
  const { batchId, advertiserId, kind, author, suppressPostbacks } = batch;
  return { batchId, advertiserId, kind, author, suppressPostbacks };
}

/** The header of a batch's chunk. Each has a time of its own, or a look-up by time would read the whole batch. */
export function chunkHeaderOf(
  batch: BatchIdentity & Pick<Batch, 'receivedAtMs' | 'edgeNumber'>,
  number: number,
  catalogueVersion: number,
): ChunkHeader {
  return {
    chunkId: `batch-${batch.batchId}-${number}`,
    kind: 'conversions',
    edgeNumber: batch.edgeNumber,
    openedAtMs: batch.receivedAtMs - CHUNKS_MAX + number,
    catalogueVersion,
    batch: identityOf(batch),
  };
}

export function syncFolder(dir: string, sync: SpoolSync): void {
  if (sync !== 'disk') return;
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Writes a new file whole; durable as `sync` says. */
export function writeWhole(file: string, data: Buffer, sync: SpoolSync): void {
  const fd = openSync(file, 'wx');
  try {
    let written = 0;
    while (written < data.length) written += writeSync(fd, data, written);
    if (sync === 'disk') fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Makes `.new` into `.prepared`: from here on the batch survives a kill. */
export function sealFolder(edgeDir: string, batch: Batch, sync: SpoolSync): void {
  const folder = folderOf(edgeDir, batch.batchId, '.new');
  writeWhole(join(folder, DESCRIPTION), Buffer.from(JSON.stringify(batch)), sync);
  syncFolder(folder, sync);
  moveFolder(edgeDir, batch.batchId, '.new', '.prepared', sync);
}

export function moveFolder(
  edgeDir: string,
  batchId: string,
  from: '.new' | '.prepared',
  to: '' | '.prepared',
  sync: SpoolSync,
): void {
  const target = folderOf(edgeDir, batchId, to);
  try {
    renameSync(folderOf(edgeDir, batchId, from), target);
  } catch (error) {
    // A process that outlived its edge for a moment may have taken the step already.
    if (!existsSync(target)) throw error;
  }
  syncFolder(batchesDir(edgeDir), sync);
}

function parseDescription(text: string): Partial<Batch> | null {
  try {
    // Written by this module alone: what is JSON and names its batch is whole.
    return JSON.parse(text) as Partial<Batch> | null;
  } catch {
    return null;
  }
}

/** Undefined: the description is damaged. Throws when it can't be read now. */
export function readBatch(folder: string): Batch | undefined {
  const described = parseDescription(readFileSync(join(folder, DESCRIPTION), 'utf8'));
  if (described?.batchId !== basename(folder, '.prepared')) return undefined;
  // Those from before there were kinds are postbacks.
  return { ...BEFORE_KINDS, ...(described as Batch) };
}

export interface FoundFolder {
  readonly folder: string;
  readonly batch: Batch;
  readonly prepared: boolean;
}

function recoverBatch(folder: string, recovery: Recovery): FoundFolder | undefined {
  if (folder.endsWith('.part')) return undefined;
  if (/\.(new|trash)$/.test(folder)) dropUnfinished(folder);
  // A folder without its description is one that was being removed.
  else if (!existsSync(join(folder, DESCRIPTION))) removeFolder(folder);
  else {
    const batch = readBatch(folder);
    if (batch !== undefined) return { folder, batch, prepared: folder.endsWith('.prepared') };
    quarantineFolder(recovery, `batch-${basename(folder)}`, folder);
  }
  return undefined;
}

/**
 * What an earlier process left in an edge's folder: whole batches; what it was still making goes, what is damaged goes to
 * quarantine. A folder that can't be read now stays for the next process.
 */
export function recoverBatches(edgeDir: string, recovery: Recovery): FoundFolder[] {
  const dir = batchesDir(edgeDir);
  if (!existsSync(dir)) return [];
  const found: FoundFolder[] = [];
  for (const name of readdirSync(dir).toSorted()) {
    try {
      const batch = recoverBatch(join(dir, name), recovery);
      if (batch !== undefined) found.push(batch);
    } catch (error) {
      recovery.logger.error(
        { folder: name, error: messageOf(error) },
        'a batch was not recovered; its folder stays',
      );
    }
  }
  return found;
}

/** Out of the way in one step first: whoever still writes into it fails, and can't seal what is half removed. */
function dropUnfinished(folder: string): void {
  const trash = folder.replace(/\.new$/, '.trash');
  if (trash !== folder) renameSync(folder, trash);
  rmSync(trash, { recursive: true, force: true });
}

/** Removes a batch's folder; the description first, so that a kill leaves nothing that looks whole. */
export function removeFolder(folder: string): void {
  rmSync(join(folder, DESCRIPTION), { force: true });
  rmSync(folder, { recursive: true, force: true });
}

/** Removes the uploads that a dead edge was receiving. Only for a folder whose owner is gone or is starting. */
export function removeParts(edgeDir: string): void {
  const dir = batchesDir(edgeDir);
  if (!existsSync(dir)) return;
  for (const name of readdirSync(dir))
    if (name.endsWith('.part')) rmSync(join(dir, name), { force: true });
}

/** True when an edge's folder holds batches or what is left of some, so that someone must see to them. */
export function hasBatches(edgeDir: string): boolean {
  const dir = batchesDir(edgeDir);
  return existsSync(dir) && readdirSync(dir).length > 0;
}

/** Numbers of the edges whose folders hold batches. */
export function foldersWithBatches(spoolDir: string): number[] {
  return readdirSync(spoolDir)
    .filter((name) => /^[0-9]+$/.test(name) && hasBatches(join(spoolDir, name)))
    .map(Number);
}

export function makeBatchesDir(edgeDir: string): void {
  mkdirSync(batchesDir(edgeDir), { recursive: true });
}
