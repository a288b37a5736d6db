/** `sluice worker`: one worker process. */
import { setFlagsFromString } from 'node:v8';
import { startWorkerRole } from '../../workers/ingest/role.ts';
import type { Config } from '../config.ts';
import { clickhouseAccessOf, ipStorageOf, openSecrets, redisUrlOf } from '../secrets.ts';
import { openCrashFile } from './crash.ts';
import { announceReady, createLogger, untilAskedToEnd } from './process.ts';

/**
 * How much the heap may grow over what is alive before it is swept, in percent. V8 goes up to four times that when it
 * finds that sweeping pays little: 510 MiB resident under clicks and conversions together. Three times: 424, at the same CPU.
 */
const HEAP_GROWING_PERCENT = 200;

export async function runWorker(config: Config): Promise<number> {
  setFlagsFromString(`--heap-growing-percent=${HEAP_GROWING_PERCENT}`);
  const logger = createLogger(config, 'worker');
  const secrets = openSecrets(config);
  const worker = await startWorkerRole({
    dataDir: config.dataDir,
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
