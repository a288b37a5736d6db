/**
 * Reads back chunk files: of an earlier life of this edge, of a dead one, or to queue a chunk again. A torn tail is
 * cut; damaged stretches go to the quarantine folder, intact records go on; nothing is deleted.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import type { ChunkHeader } from '../domain/hit.ts';
import { decodeHit } from '../queue/chunk-job.ts';
import { decodeChunkFile } from './chunk-file.ts';

export interface SpooledChunk {
  readonly file: string;
  readonly header: ChunkHeader;
  readonly records: readonly string[];
  readonly bytes: number;
}

export interface RecoveryCounts {
  tornTails: number;
  quarantined: number;
}

export interface Recovery {
  readonly quarantineDir: string;
  readonly logger: Logger;
  readonly counts: RecoveryCounts;
}

function isRecord(line: string): boolean {
  try {
    decodeHit(line);
    return true;
  } catch {
    // Intact by its CRC and yet no record: from another version. It goes to quarantine with the damaged ones.
    return false;
  }
}

function quarantine(recovery: Recovery, name: string, bytes: Buffer): void {
  mkdirSync(recovery.quarantineDir, { recursive: true });
  writeFileSync(join(recovery.quarantineDir, name), bytes);
  recovery.counts.quarantined += 1;
  recovery.logger.error({ file: name, bytes: bytes.length }, 'damaged bytes of a chunk went to quarantine');
}

/** Reads one chunk file; undefined when nothing in it can be used (it is then in quarantine, or was empty). */
export function readChunk(file: string, recovery: Recovery): SpooledChunk | undefined {
  const bytes = readFileSync(file);
  const decoded = decodeChunkFile(bytes);
  const name = basename(file);
  if (decoded.header === undefined) {
    if (decoded.records.length > 0 || decoded.damaged.length > 0) quarantine(recovery, name, bytes);
    rmSync(file);
    return undefined;
  }
  const records = decoded.records.filter(isRecord);
  const strange = decoded.records.filter((line) => !isRecord(line)).map((line) => Buffer.from(line));
  for (const [index, part] of [...decoded.damaged, ...strange].entries()) quarantine(recovery, `${name}.${index}`, part);
  if (records.length === 0) {
    rmSync(file);
    return undefined;
  }
  return { file, header: decoded.header, records, bytes: bytes.length };
}

function cutTornTail(file: string, recovery: Recovery): void {
  const bytes = readFileSync(file);
  const { tornBytes } = decodeChunkFile(bytes);
  if (tornBytes === 0) return;
  recovery.counts.tornTails += 1;
  recovery.logger.warn({ file: basename(file), tornBytes }, 'cut the torn tail of a chunk: its last write was interrupted, and never answered');
  truncateSync(file, bytes.length - tornBytes);
}

/** Every chunk of a folder whose owner is gone, oldest first. Open files are closed on the way. */
export function recoverFolder(dir: string, recovery: Recovery): SpooledChunk[] {
  const chunks: SpooledChunk[] = [];
  for (const name of readdirSync(dir).toSorted()) {
    let file = join(dir, name);
    if (name.endsWith('.open')) {
      cutTornTail(file, recovery);
      const ready = file.replace(/\.open$/, '.ready');
      renameSync(file, ready);
      file = ready;
    } else if (!name.endsWith('.ready')) continue;
    const chunk = readChunk(file, recovery);
    if (chunk !== undefined) chunks.push(chunk);
  }
  return chunks.toSorted((a, b) => a.header.openedAtMs - b.header.openedAtMs);
}

/** Bytes of a folder's chunk files. */
export function folderBytes(dir: string): number {
  return readdirSync(dir)
    .filter((name) => /\.(open|ready)$/.test(name))
    .reduce((sum, name) => sum + statSync(join(dir, name)).size, 0);
}
