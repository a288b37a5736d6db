/** Plain counters of the hot path, and their exposition for Prometheus: no metric is looked up by label per hit. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client';
import type { ChunkKind } from '../domain/hit.ts';

export interface EdgeCounters {
  spoolWritable: boolean;
  store(kind: ChunkKind, hits: number): void;
  refuse(reason: string, requests: number): void;
  readonly stored: ReadonlyMap<string, number>;
  readonly refused: ReadonlyMap<string, number>;
}

export function createEdgeCounters(): EdgeCounters {
  const stored = new Map<string, number>();
  const refused = new Map<string, number>();
  return {
    spoolWritable: true,
    stored,
    refused,
    store: (kind, hits) => void stored.set(kind, (stored.get(kind) ?? 0) + hits),
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
}

export function createEdgeRegistry(counters: EdgeCounters, gauges: EdgeGauges): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const counter = (
    name: string,
    help: string,
    label: string,
    values: ReadonlyMap<string, number>,
  ): void => {
    const metric = new Counter({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        metric.reset();
        for (const [value, count] of values) metric.inc({ [label]: value }, count);
      },
    });
  };
  counter(
    'sluice_edge_hits_stored_total',
    'Hits stored in the spool before they were answered',
    'kind',
    counters.stored,
  );
  counter(
    'sluice_edge_requests_refused_total',
    'Requests that were not stored, by reason',
    'reason',
    counters.refused,
  );
  const gauge = (name: string, help: string, read: () => number): void => {
    const metric = new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        metric.set(read());
      },
    });
  };
  gauge(
    'sluice_edge_unconfirmed_chunks',
    'Chunks in the spool that ClickHouse does not have yet',
    gauges.unconfirmedChunks,
  );
  gauge('sluice_edge_unconfirmed_bytes', 'Bytes of those chunks', gauges.unconfirmedBytes);
  gauge(
    'sluice_edge_oldest_unconfirmed_seconds',
    'Age of the oldest of those chunks',
    gauges.oldestUnconfirmedAgeS,
  );
  gauge(
    'sluice_edge_quarantined_total',
    'Damaged stretches moved to quarantine since the start',
    gauges.quarantined,
  );
  gauge(
    'sluice_edge_torn_tails_total',
    'Interrupted writes cut at recovery since the start',
    gauges.tornTails,
  );
  gauge(
    'sluice_edge_catalogue_version',
    'Catalogue version in force at this edge',
    gauges.catalogueVersion,
  );
  gauge('sluice_edge_spool_writable', '1 when the last write to the spool succeeded', () =>
    counters.spoolWritable ? 1 : 0,
  );
  return registry;
}
