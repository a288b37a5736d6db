/** Plain counters of the hot path, and their exposition for Prometheus: no metric object is touched per hit. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { ChunkKind } from '../domain/hit.ts';

export interface EdgeCounters {
  spoolWritable: boolean;
  store(kind: ChunkKind, hits: number): void;
  refuse(reason: string, requests: number): void;
  /** Counts an answer by its status line, `200 OK`. */
  answer(endpoint: string, status: string): void;
  /** endpoint → status line → answers. */
  readonly answered: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly stored: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
}

export function createEdgeCounters(): EdgeCounters {
  const stored = new Map<string, number>();
  const refused = new Map<string, number>();
  const answered = new Map<string, Map<string, number>>();
  return {
    spoolWritable: true,
    stored,
    refused,
    store: (kind, hits) => void stored.set(kind, (stored.get(kind) ?? 0) + hits),
    answered,
    answer(endpoint, status) {
      let byStatus = answered.get(endpoint);
      if (byStatus === undefined) {
        byStatus = new Map();
        answered.set(endpoint, byStatus);
      }
      byStatus.set(status, (byStatus.get(status) ?? 0) + 1);
    },
    refuse: (reason, requests) => void refused.set(reason, (refused.get(reason) ?? 0) + requests),
  };
}

/** Values that are read when someone asks. */
export interface EdgeGauges {
  readonly unconfirmedChunks: () => number;
  readonly unconfirmedBytes: () => number;
  /** Seconds since the oldest unconfirmed chunk was opened; 0 when there is none. */
  readonly oldestUnconfirmedAgeS: () => number;
  readonly quarantined: () => number;
  readonly tornTails: () => number;
  readonly catalogueVersion: () => number;
  readonly redisReachable: () => boolean;
  readonly clickhouseReachable: () => boolean;
  readonly batches: () => number;
  readonly batchBytes: () => number;
}

/** A name in `_total` is a counter's, as Prometheus has it. */
const READ: readonly (readonly [name: string, help: string, gauge: keyof EdgeGauges])[] = [
  [
    'unconfirmed_chunks',
    'Chunks in the spool that ClickHouse does not have yet',
    'unconfirmedChunks',
  ],
  ['unconfirmed_bytes', 'Bytes of those chunks', 'unconfirmedBytes'],
  ['oldest_unconfirmed_seconds', 'Age of the oldest of those chunks', 'oldestUnconfirmedAgeS'],
  [
    'quarantined_total',
    'Damaged stretches of chunks, and damaged batches, moved to quarantine since the start',
    'quarantined',
  ],
  ['torn_tails_total', 'Interrupted writes cut at recovery since the start', 'tornTails'],
  ['catalogue_version', 'Catalogue version in force at this edge', 'catalogueVersion'],
  ['batches', 'Batches whose lines are not all judged yet', 'batches'],
  ['batch_bytes', 'Bytes of their chunks that wait in the spool', 'batchBytes'],
  ['redis_reachable', '1 while the connection to Redis stands', 'redisReachable'],
  ['clickhouse_reachable', '1 when the last look at ClickHouse succeeded', 'clickhouseReachable'],
];

function addCounter(
  registry: Registry,
  name: string,
  help: string,
  labels: readonly string[],
  read: () => Iterable<readonly [values: readonly string[], count: number]>,
): void {
  const metric = new Counter({
    name,
    help,
    labelNames: [...labels],
    registers: [registry],
    collect() {
      metric.reset();
      for (const [values, count] of read()) metric.labels(...values).inc(count);
    },
  });
}

function addGauge(registry: Registry, name: string, help: string, read: () => number): void {
  const metric = new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      metric.set(read());
    },
  });
}

function* answersOf(counters: EdgeCounters): Generator<readonly [readonly string[], number]> {
  for (const [endpoint, byStatus] of counters.answered) {
    for (const [status, count] of byStatus) yield [[endpoint, status.slice(0, 3)], count];
  }
}

function* single(
  counts: ReadonlyMap<string, number>,
): Generator<readonly [readonly string[], number]> {
  for (const [value, count] of counts) yield [[value], count];
}

export function createEdgeRegistry(counters: EdgeCounters, gauges: EdgeGauges): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  addCounter(
    registry,
    'sluice_edge_hits_stored_total',
    'Hits stored in the spool before they were answered',
    ['kind'],
    () => single(counters.stored),
  );
  addCounter(
    registry,
    'sluice_edge_requests_refused_total',
    'Requests that were not stored, by reason',
    ['reason'],
    () => single(counters.refused),
  );
  addCounter(
    registry,
    'sluice_edge_answers_total',
    'Answers, by endpoint and status',
    ['endpoint', 'status'],
    () => answersOf(counters),
  );
  for (const [name, help, gauge] of READ) {
    const read = (): number => Number(gauges[gauge]());
    if (name.endsWith('_total'))
      addCounter(registry, `sluice_edge_${name}`, help, [], () => [[[], read()]]);
    else addGauge(registry, `sluice_edge_${name}`, help, read);
  }
  addGauge(
    registry,
    'sluice_edge_spool_writable',
    '1 when the last write to the spool succeeded',
    () => Number(counters.spoolWritable),
  );
  return registry;
}
