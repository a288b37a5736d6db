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
  // Under its name only when it is whole, or half of it would pass for kept at the next try.
  const part = `${file}.part`;
  try {
    writeFileSync(part, bytes);
    renameSync(part, file);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
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

/** Puts a folder into quarantine as it is, in one step, under a name that no other has. */
export function quarantineFolder(recovery: Recovery, name: string, folder: string): void {
  mkdirSync(recovery.quarantineDir, { recursive: true });
  renameSync(folder, join(recovery.quarantineDir, name));
  recovery.counts.quarantined += 1;
  recovery.logger.error({ folder, name }, 'a damaged folder went to quarantine');
}

function cutTornTail(
  file: string,
  name: string,
  bytes: Buffer,
  tornBytes: number,
  recovery: Recovery,
): void {
  if (tornBytes === 0) return;
  // Usually a write that was interrupted and never answered; kept all the same, because damage can look like one.
  keep(recovery, `${name}.torn`, bytes.subarray(bytes.length - tornBytes));
  recovery.counts.tornTails += 1;
  recovery.logger.warn(
    { file: name, tornBytes },
    'cut the torn tail of a chunk; its bytes are in quarantine',
  );
  truncateSync(file, bytes.length - tornBytes);
}

/**
 * Reads one chunk file; undefined when nothing in it can be used (what it held is then in quarantine, under `name`, which
 * no other chunk may have).
 */
export function readChunk(
  file: string,
  recovery: Recovery,
  name = basename(file),
): SpooledChunk | undefined {
  const bytes = readFileSync(file);
  const decoded = decodeChunkFile(bytes);
  if (decoded.header === undefined) {
    if (bytes.length > 0) quarantine(recovery, name, bytes);
    rmSync(file);
    return undefined;
  }
  cutTornTail(file, name, bytes, decoded.tornBytes, recovery);
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

export interface FolderRecovery {
  /**
   * The chunks that were not given before, oldest first, one at a time: a folder may hold more than the memory. Open
   * files are closed on the way. A file that can't be read or kept now stays and is left for the next call, which looks
   * at such files alone: the folder may have got new ones of its owner since.
   */
  chunks(): Generator<SpooledChunk>;
  /** The last call left no file. */
  readonly isWhole: boolean;
}

/** Recovers a folder whose owner is gone, or is starting. */
export function createFolderRecovery(dir: string, recovery: Recovery): FolderRecovery {
  let left: ReadonlySet<string> | undefined;

  function recoverFile(name: string): SpooledChunk | undefined {
    const file = join(dir, name.replace(/\.open$/, '.ready'));
    if (name.endsWith('.open')) renameSync(join(dir, name), file);
    return readChunk(file, recovery);
  }

  return {
    *chunks() {
      const before = left;
      const leftNow = new Set<string>();
      for (const name of readdirSync(dir).toSorted()) {
        const [, chunkId] = /^(.*)\.(?:open|ready)$/.exec(name) ?? [];
        if (chunkId === undefined || before?.has(chunkId) === false) continue;
        let chunk: SpooledChunk | undefined;
        try {
          chunk = recoverFile(name);
        } catch (error) {
          leftNow.add(chunkId);
          if (before === undefined)
            recovery.logger.error(
              { file: name, error: messageOf(error) },
              'a chunk file was not recovered; it stays, and is tried again',
            );
        }
        if (chunk !== undefined) yield chunk;
      }
      left = leftNow;
    },
    get isWhole() {
      return left?.size === 0;
    },
  };
}
