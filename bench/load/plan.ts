/** What the generator is told, and what it tells. */
import type { Traffic } from './requests.ts';

export interface LoadPlan {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Requests a second, on a fixed schedule. */
  readonly rate: number;
  readonly seconds: number;
  readonly traffic: Traffic;
  /** Each so-manieth request carries a mark (sub_id5) and its answer's time is kept; 0: none. */
  readonly markEvery: number;
  readonly markBase: number;
}

export interface LoadProgress {
  readonly elapsedMs: number;
  readonly answered: number;
  readonly errors: number;
  /** Requests that are due and not sent yet. */
  readonly behind: number;
}

export interface LatencySummary {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface LoadResult {
  readonly answered: number;
  readonly errors: number;
  readonly elapsedS: number;
  /** From the time a request was due to its answer. */
  readonly latencyMs: LatencySummary;
  readonly cpuUsPerRequest: number;
  /** Part of one core that the generator used. */
  readonly cpuShare: number;
  /** Mark → wall clock of its answer, ms since 1970. */
  readonly marks: readonly (readonly [string, number])[];
}

export type GeneratorMessage =
  | 'ready'
  | { readonly progress: LoadProgress }
  | { readonly result: LoadResult }
  | { readonly failure: string };
