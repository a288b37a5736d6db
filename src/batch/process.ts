/**
 * The batch process of an edge: reads uploads and feeds batches, so that neither costs the edge's event loop anything.
 * Ends with the edge. Started by `batch-process.ts`, at a lower priority.
 */
import { pino } from 'pino';
import { createClickHouse } from '../../clickhouse/client.ts';
import { messageOf } from '../domain/app-error.ts';
import { createChunkProducer } from '../queue/chunk-producer.ts';
import { connectRedis } from '../redis/connect.ts';
import { createRedisKeys } from '../redis/keys.ts';
import type { Recovery } from '../spool/recover.ts';
import { createClaims } from './claims.ts';
import { createFeeder } from './feeder.ts';
import { createKeeper } from './keeper.ts';
import { createKeyHolders } from './key-holders.ts';
import type { BatchSettings, FromBatchProcess, Question, ToBatchProcess } from './messages.ts';

function send(message: FromBatchProcess): void {
  // The edge may be gone: then so are we, in a moment.
  if (process.connected) process.send?.(message);
}

function startWork(settings: BatchSettings) {
  const logger = pino({
    level: settings.logLevel,
    base: { role: 'batch', pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
  const keys = createRedisKeys();
  const redis = connectRedis(settings.redisUrl, 'producer', (error) =>
    logger.debug({ error: error.message }, 'Redis'),
  );
  const clickhouse = createClickHouse(settings.clickhouse);
  const producer = createChunkProducer(redis, keys.queuePrefix, 'batches');
  const monotonic = (): number => performance.now();
  const holderOf = createKeyHolders(clickhouse, monotonic);
  const recovery: Recovery = {
    quarantineDir: settings.quarantineDir,
    logger,
    counts: { tornTails: 0, quarantined: 0 },
  };
  const feeder = createFeeder({
    clickhouse,
    producer,
    recovery,
    sync: settings.sync,
    catalogueVersion: async () => Number((await redis.get(keys.catalogueVersion)) ?? 0),
    monotonic,
    logger,
    onProgress: () => reportProgress(),
  });
  const claims = createClaims(clickhouse);
  const keeper = createKeeper({
    claims,
    feeder,
    recovery,
    sync: settings.sync,
    monotonic,
    logger,
  });

  let reported = '';
  function reportProgress(): void {
    const { bytes } = feeder;
    const unfinished = feeder.unfinished + keeper.undecided;
    const { quarantined } = recovery.counts;
    const text = `${unfinished} ${bytes} ${quarantined}`;
    if (text === reported) return;
    reported = text;
    send({ type: 'progress', unfinished, bytes, quarantined });
  }

  return { logger, keeper, holderOf, reportProgress };
}

type Work = ReturnType<typeof startWork>;
const running = new Map<number, AbortController>();

async function answer(work: Work, number: number, question: Question): Promise<void> {
  const abort = new AbortController();
  running.set(number, abort);
  try {
    if (question.type === 'holder') {
      send({ type: 'holder', number, holder: (await work.holderOf(question.keyHash)) ?? null });
      return;
    }
    const outcome = await work.keeper.store(question.request, abort.signal);
    work.reportProgress();
    send({ type: 'outcome', number, outcome });
  } catch (error) {
    work.logger.error({ error: messageOf(error) }, 'a batch question failed');
    send({ type: 'failed', number, reason: messageOf(error) });
  } finally {
    running.delete(number);
  }
}

let work: Work | undefined;
// Ctrl-C reaches the whole group: the edge decides when this process ends.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToBatchProcess) => {
  if (message.type === 'start') {
    work = startWork(message.settings);
    return;
  }
  if (message.type === 'close') process.exit(0);
  if (message.type === 'cancel') running.get(message.number)?.abort();
  if (work === undefined) return;
  if (message.type === 'adopt') {
    work.keeper.adopt(message.edgeDir);
    work.reportProgress();
  }
  if (message.type === 'ask') void answer(work, message.number, message.question);
});
