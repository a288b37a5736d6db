/** `sluice worker`: one worker process. */
import { startWorkerRole } from '../../workers/ingest/role.ts';
import type { Config } from '../config.ts';
import { clickhouseAccessOf, ipStorageOf, openSecrets, redisUrlOf } from '../secrets.ts';
import { openCrashFile } from './crash.ts';
import { announceReady, createLogger, untilAskedToEnd, yieldToEdge } from './process.ts';

export async function runWorker(config: Config): Promise<number> {
  yieldToEdge();
  const logger = createLogger(config, 'worker');
  const secrets = openSecrets(config);
  const worker = await startWorkerRole({
    redisUrl: redisUrlOf(config, secrets),
    clickhouse: clickhouseAccessOf(config, secrets),
    retention: config.retention,
    outgoingAllow: config.outgoingAllow,
    ips: ipStorageOf(config, secrets),
    reach: openCrashFile(config.crashFile),
    logger,
  });
  announceReady();
  const why = await untilAskedToEnd();
  logger.info({ why }, 'worker ends');
  await worker.close();
  return 0;
}
