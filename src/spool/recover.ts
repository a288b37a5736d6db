/**
 * Reads back chunk files: of an earlier life of this edge, of a dead one, or to queue a chunk again. A torn tail is
 * cut; damaged stretches go to the quarantine folder, intact records go on; nothing is deleted.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import type { Logger } from 'pino';
import { messageOf } from '../domain/app-error.ts';
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

function keep(recovery: Recovery, name: string, bytes: Buffer): boolean {
  mkdirSync(recovery.quarantineDir, { recursive: true });
  const file = join(recovery.quarantineDir, name);
  // Chunk names are unique: the same stretch was kept when the chunk was read before.
  if (existsSync(file)) return false;
  writeFileSync(file, bytes);
  return true;
}

function quarantine(recovery: Recovery, name: string, bytes: Buffer): void {
  if (!keep(recovery, name, bytes)) return;
  recovery.counts.quarantined += 1;
  recovery.logger.error(
    { file: name, bytes: bytes.length },
    'damaged bytes of a chunk went to quarantine',
  );
}

function cutTornTail(file: string, bytes: Buffer, tornBytes: number, recovery: Recovery): void {
  if (tornBytes === 0) return;
  // Usually a write that was interrupted and never answered; kept all the same, because damage can look like one.
  keep(recovery, `${basename(file)}.torn`, bytes.subarray(bytes.length - tornBytes));
  recovery.counts.tornTails += 1;
  recovery.logger.warn(
    { file: basename(file), tornBytes },
    'cut the torn tail of a chunk; its bytes are in quarantine',
  );
  truncateSync(file, bytes.length - tornBytes);
}

/** Reads one chunk file; undefined when nothing in it can be used (what it held is then in quarantine). */
export function readChunk(file: string, recovery: Recovery): SpooledChunk | undefined {
  const bytes = readFileSync(file);
  const decoded = decodeChunkFile(bytes);
  const name = basename(file);
  if (decoded.header === undefined) {
    if (bytes.length > 0) quarantine(recovery, name, bytes);
    rmSync(file);
    return undefined;
  }
  cutTornTail(file, bytes, decoded.tornBytes, recovery);
  const records: string[] = [];
  const strange: Buffer[] = [];
  for (const line of decoded.records)
    if (isRecord(line)) records.push(line);
    else strange.push(Buffer.from(line));
  for (const [index, part] of [...decoded.damaged, ...strange].entries())
    quarantine(recovery, `${name}.${index}`, part);
  if (records.length === 0) {
    rmSync(file);
    return undefined;
  }
  return { file, header: decoded.header, records, bytes: bytes.length - decoded.tornBytes };
}

/**
 * Every chunk of a folder whose owner is gone, oldest first, one at a time: a folder may hold more than the memory.
 * Open files are closed on the way. Ends with the names of files that can't be read or kept now: they stay, to be given
 * as `names` at the next try.
 */
export function* recoverFolder(
  dir: string,
  recovery: Recovery,
  names?: readonly string[],
): Generator<SpooledChunk, readonly string[]> {
  const left: string[] = [];
  for (const name of names ?? readdirSync(dir).toSorted()) {
    if (!name.endsWith('.open') && !name.endsWith('.ready')) continue;
    const ready = name.replace(/\.open$/, '.ready');
    let chunk: SpooledChunk | undefined;
    try {
      if (name !== ready && existsSync(join(dir, name)))
        renameSync(join(dir, name), join(dir, ready));
      chunk = readChunk(join(dir, ready), recovery);
    } catch (error) {
      left.push(name);
      recovery.logger[names === undefined ? 'error' : 'debug'](
        { file: name, error: messageOf(error) },
        'a chunk file was not recovered; it stays, and is tried again',
      );
    }
    if (chunk !== undefined) yield chunk;
  }
  return left;
}
