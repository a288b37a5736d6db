/**
 * ClickHouse's HTTP interface over the chDB engine in this process: `@clickhouse/client`, curl and HTTP drivers talk
 * to it as to a server. One process owns a data directory; everyone else goes through this port.
 * Not here: native protocol, external data, LZ4 framing, sessions that live across requests.
 */
import { lookup } from 'node:dns/promises';
import { mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { messageOf } from '../../src/domain/app-error.ts';
import { writeAccessConfig } from './access.ts';
import { createAnalystDoor } from './analyst.ts';
import { createEngine, type Engine } from './engine.ts';
import { createHandler } from './handler.ts';
import { readSafeFunctions } from './safe-functions.ts';
import type { StatementOptions } from './sessions.ts';
import { quoteString } from '../quote-string.ts';
import type { Passwords } from './users.ts';

export interface EmbeddedClickHouseOptions {
  /** The engine's own folder; this process must be its only owner. */
  readonly dataDir: string;
  /** Beside it, our own processes reach the engine over loopback. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly database: string;
  readonly passwords: Passwords;
  /** The documented views, by their names in `database`. */
  readonly analystRelations: readonly string[];
  readonly logger: Logger;
}

export interface EmbeddedClickHouse {
  readonly port: number;
  close(): Promise<void>;
}

/** A statement with parameters can stand in the request line; the server takes 1 MiB by default. */
const HEADER_BYTES_MAX = 4 * 1024 ** 2;

async function prepareDatabases(engine: Engine, options: EmbeddedClickHouseOptions): Promise<void> {
  const owner: StatementOptions = {
    settings: new Map(),
    parameters: new Map(),
    database: 'system',
    role: 'owner',
    readonly: 0,
  };
  const ask = async (sql: string): Promise<string> =>
    (await engine.command(sql, 'TSVRaw', owner)).toString('utf8');
  for (const name of [options.database, `${options.database}_private`])
    await ask(`CREATE DATABASE IF NOT EXISTS ${name}`);
  // Views of an earlier version run as their reader, who may not read the tables under them.
  const names = options.analystRelations.map(quoteString).join(', ');
  const old = await ask(
    `SELECT name FROM system.tables WHERE database = ${quoteString(options.database)} AND engine = 'View'
     AND name IN (${names}) AND create_table_query NOT LIKE '%SQL SECURITY DEFINER%'`,
  );
  for (const name of old.split('\n').filter((line) => line !== '')) {
    await ask(
      `ALTER TABLE ${options.database}.${name} MODIFY SQL SECURITY DEFINER DEFINER = default`,
    );
  }
}

async function openEngine(options: EmbeddedClickHouseOptions) {
  const path = join(options.dataDir, 'engine');
  mkdirSync(path, { recursive: true });
  const temporaryDir = join(options.dataDir, 'tmp');
  const engine = createEngine({
    path,
    temporaryDir,
    accessConfig: writeAccessConfig(
      join(options.dataDir, 'access'),
      options.database,
      options.analystRelations,
    ),
  });
  await prepareDatabases(engine, options);
  return { engine, temporaryDir };
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  // A TCP server's address is always an object.
  return (server.address() as AddressInfo).port;
}

/** Addresses that take connections to 127.0.0.1 as well. */
const COVER_LOOPBACK = new Set(['127.0.0.1', '0.0.0.0', '::']);

export async function createEmbeddedClickHouse(
  options: EmbeddedClickHouseOptions,
): Promise<EmbeddedClickHouse> {
  const { engine, temporaryDir } = await openEngine(options);
  const system: StatementOptions = {
    settings: new Map(),
    parameters: new Map(),
    database: 'system',
    role: 'owner',
    readonly: 1,
  };
  const functions = await readSafeFunctions(async (sql) =>
    (await engine.command(sql, 'TSVRaw', system)).toString('utf8'),
  );
  const handle = createHandler({
    engine,
    door: createAnalystDoor(functions),
    temporaryDir,
    database: options.database,
    passwords: options.passwords,
  });
  // No limit for a whole request: an insert may stream for long. A body that stalls is cut where it is read.
  const createDoor = (): Server =>
    createServer(
      { maxHeaderSize: HEADER_BYTES_MAX, keepAliveTimeout: 10_000, requestTimeout: 0 },
      (request, response) => {
        handle(request, response).catch((error: unknown) => {
          options.logger.error({ error: messageOf(error) }, 'a request failed');
          response.destroy();
        });
      },
    );
  const { address } = await lookup(options.host);
  const asked = createDoor();
  const servers = [asked];
  const port = await listen(asked, address, options.port);
  if (!COVER_LOOPBACK.has(address)) {
    const own = createDoor();
    servers.push(own);
    await listen(own, '127.0.0.1', port);
  }
  options.logger.info({ port, dataDir: options.dataDir }, 'embedded ClickHouse listens');
  return {
    port,
    async close() {
      const closed = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      for (const server of servers) server.closeIdleConnections();
      await engine.close();
      for (const server of servers) server.closeAllConnections();
      await Promise.all(closed);
    },
  };
}
