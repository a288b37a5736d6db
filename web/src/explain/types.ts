/** What `/explain` and `/explain/test` answer. */
import type { Row } from '../reports/cell.tsx';

export interface TracedCheck {
  readonly check: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  readonly evidence: string;
}

export interface ExplainedCall {
  readonly hit_id: string;
  readonly hit_time: string;
  readonly verdict_code: number;
  readonly verdict: string;
  readonly title: string;
  readonly detail: string;
  readonly hint: string;
  readonly blocking_transaction_id: string;
  readonly request: Row;
  readonly catalogue_version: number;
  readonly checks: readonly TracedCheck[];
  readonly click: Row | null;
  readonly transactions: readonly Row[];
  readonly events: readonly Row[];
  readonly row: Row;
}

export interface Explanation {
  readonly calls: readonly ExplainedCall[];
  readonly clicks: readonly Row[];
}

export interface TestJudgement {
  readonly verdict_code: number;
  readonly verdict: string;
  readonly title: string;
  readonly detail: string;
  readonly hint: string;
  readonly blocking_transaction_id: string;
  readonly checks: readonly TracedCheck[];
  readonly click: Row | null;
}
