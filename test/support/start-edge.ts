/**
 * A real edge in this process: its own data dir and port, a catalogue on disk, and Redis and ClickHouse unreachable
 * unless a test names them. What it stored is read back from its chunk files.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import type { CatalogueState } from '../../src/domain/catalogue.ts';
import type { ChunkHeader, Hit } from '../../src/domain/hit.ts';
import { startEdgeRole, type EdgeRole, type EdgeRoleOptions } from '../../src/edge/role.ts';
import { decodeHit } from '../../src/queue/chunk-job.ts';
import { decodeChunkFile } from '../../src/spool/chunk-file.ts';

export interface TestEdge {
  readonly url: string;
  readonly port: number;
  readonly role: EdgeRole;
  readonly spoolDir: string;
  /** Every hit in the spool. */
  stored(): Hit[];
  /** The one stored hit with an id, or undefined. */
  hit(hitId: string): Hit | undefined;
  metric(line: RegExp): Promise<number>;
  close(): Promise<void>;
}

/** Nothing listens there. */
export const UNREACHABLE = {
  redisUrl: 'redis://127.0.0.1:1',
  clickhouse: { url: 'http://127.0.0.1:1', user: 'x', password: '', database: 'x' },
} as const;

/** Puts a catalogue where an edge of this number looks for its copy. */
export function writeCopy(spoolDir: string, edgeNumber: number, catalogue: CatalogueState): void {
  const dir = join(spoolDir, String(edgeNumber));
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'catalogue.json'), JSON.stringify(catalogue));
}

export interface StoredChunk {
  readonly header: ChunkHeader;
  readonly hits: readonly Hit[];
}

/** The chunks in every folder of a spool, quarantine excluded. */
export function readSpool(spoolDir: string): StoredChunk[] {
  return readdirSync(spoolDir)
    .filter((name) => /^[0-9]+$/.test(name))
    .flatMap((folder) =>
      readdirSync(join(spoolDir, folder))
        .filter((name) => /\.(open|ready)$/.test(name))
        .flatMap((name) => {
          const { header, records } = decodeChunkFile(readFileSync(join(spoolDir, folder, name)));
          return header === undefined ? [] : [{ header, hits: records.map(decodeHit) }];
        }),
    );
}

export async function startEdge(
  catalogue: CatalogueState,
  options: Partial<EdgeRoleOptions> = {},
): Promise<TestEdge> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'sluice-edge-'));
  const spoolDir = join(dataDir, 'spool');
  writeCopy(spoolDir, options.edgeNumberBase ?? 0, catalogue);
  const role = await startEdgeRole({
    dataDir,
    host: '127.0.0.1',
    port: 0,
    edgeNumberBase: 0,
    sync: 'os',
    spoolBytesMax: 1e9,
    trustedProxies: [],
    trafficbackUrl: null,
    adminKey: 'sla_test-key-of-this-edge',
    ...UNREACHABLE,
    logger: pino({ level: 'silent' }),
    onFatal(error) {
      throw error;
    },
    ...options,
  });
  const url = `http://127.0.0.1:${role.port}`;
  const stored = (): Hit[] => readSpool(spoolDir).flatMap(({ hits }) => hits);
  return {
    url,
    port: role.port,
    role,
    spoolDir,
    stored,
    hit: (hitId) => stored().find((hit) => hit.hitId === hitId),
    async metric(line) {
      const text = await (await fetch(`${url}/metrics`)).text();
      return Number(new RegExp(`^${line.source} (\\S+)$`, 'm').exec(text)?.[1] ?? 0);
    },
    async close() {
      await role.close();
      if (options.dataDir === undefined) rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
