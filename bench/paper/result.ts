/** What a measurement hands to the document. */
import type { Chart } from './chart.ts';

/** One promise of the table, with what was measured. */
export interface Finding {
  readonly what: string;
  readonly measured: string;
  readonly peer: string;
  readonly ratio: string;
  readonly target: string;
  readonly moonshot: string;
  /** Whether the target is met; undefined: not to be said. */
  readonly met: boolean | undefined;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

export interface Result {
  readonly title: string;
  /** How it was measured, honestly. */
  readonly method: string;
  readonly findings: readonly Finding[];
  readonly tables: readonly Table[];
  readonly charts: readonly { readonly file: string; readonly chart: Chart }[];
}

/** How long and how often; `--quick` says less. */
export interface Settings {
  readonly quick: boolean;
  /** Stored clicks of the big-data rows. */
  readonly rows: readonly number[];
}

export interface Measurement {
  readonly name: string;
  run(settings: Settings): Promise<Result>;
}
