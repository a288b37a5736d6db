/** `sluice clickhouse`: the embedded ClickHouse. */
import { join } from 'node:path';
import { createEmbeddedClickHouse } from '../../clickhouse/embedded/server.ts';
import { ENGINE_THREADS_MIN } from '../../clickhouse/embedded/threads.ts';
import { AppError } from '../domain/app-error.ts';
import type { Config } from '../config.ts';
import { openSecrets } from '../secrets.ts';
import { announceReady, createLogger, untilAskedToEnd } from './process.ts';

/** The documented views (docs/sql.md): all that analysts can read. */
const ANALYST_RELATIONS = [
  'clicks',
  'invalid_clicks',
  'transactions',
  'invalid_traffic',
  'postbacks',
  'transaction_events',
  'statistics_hourly',
  'affiliate_postbacks',
  'chunks',
];

export async function runClickHouse(config: Config): Promise<number> {
  const logger = createLogger(config, 'clickhouse');
  if (config.threadPoolSize < ENGINE_THREADS_MIN) {
    throw new AppError(
      'CONFIG_INVALID',
      `${config.threadPoolSize} threads (UV_THREADPOOL_SIZE) are too few for this role: set it to ${ENGINE_THREADS_MIN} or more, or unset it and start with ./sluice clickhouse`,
    );
  }
  const server = await createEmbeddedClickHouse({
    dataDir: join(config.dataDir, 'clickhouse'),
    host: config.host,
    port: config.clickhousePort,
    database: config.clickhouseDatabase,
    passwords: {
      sluice: openSecrets(config).clickhousePassword,
      analyst: config.analystPassword,
    },
    analystRelations: ANALYST_RELATIONS,
    logger,
  });
  announceReady();
  const why = await untilAskedToEnd();
  logger.info({ why }, 'embedded ClickHouse ends');
  await server.close();
  return 0;
}
