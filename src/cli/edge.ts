/** `sluice edge`: one edge process. */
import type { Config } from '../config.ts';
import { startEdgeRole } from '../edge/role.ts';
import { clickhouseAccessOf, openSecrets, redisUrlOf } from '../secrets.ts';
import { openCrashFile } from './crash.ts';
import { announceReady, createLogger, untilAskedToEnd } from './process.ts';

export async function runEdge(config: Config): Promise<number> {
  const logger = createLogger(config, 'edge');
  const secrets = openSecrets(config);
  const edge = await startEdgeRole({
    dataDir: config.dataDir,
    host: config.host,
    port: config.edgePort,
    edgeNumberBase: config.edgeNumberBase,
    sync: config.spoolSync,
    spoolBytesMax: config.spoolBytesMax,
    trustedProxies: config.trustedProxies,
    trafficbackUrl: config.trafficbackUrl,
    adminKey: secrets.adminKey,
    redisUrl: redisUrlOf(config, secrets),
    // A Redis of this data dir's own is out of others' reach: every worker has this spool.
    workersHaveSpool: config.redisUrl === null,
    clickhouse: clickhouseAccessOf(config, secrets),
    reach: openCrashFile(config.crashFile),
    logger,
    onFatal(error) {
      logger.fatal(
        { error: error.message },
        'fsync failed: what is on disk is unknown, so this edge ends',
      );
      process.exit(1);
    },
  });
  announceReady();
  const why = await untilAskedToEnd();
  logger.info({ why }, 'edge ends');
  await edge.close();
  return 0;
}
