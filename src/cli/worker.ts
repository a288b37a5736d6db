/** `sluice worker`: one worker process. */
import { startWorkerRole } from '../../workers/ingest/role.ts';
import type { Config } from '../config.ts';
import { BEHIND_EDGE, yieldCores } from '../niceness.ts';
import { clickhouseAccessOf, ipStorageOf, openSecrets, redisUrlOf } from '../secrets.ts';
import { openCrashFile } from './crash.ts';
import { announceReady, createLogger, untilAskedToEnd } from './process.ts';

export async function runWorker(config: Config): Promise<number> {
  yieldCores(BEHIND_EDGE);
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
