/** What an edge and its batch process say to each other. Every question has a number and gets one answer. */
import type { ClickHouseSettings } from '../../clickhouse/client.ts';
import type { Receipt, SpoolSync } from './batch-folder.ts';
import type { KeyHolder } from './key-holders.ts';
import type { Upload } from './store-file.ts';

export interface BatchSettings {
  readonly redisUrl: string;
  readonly clickhouse: ClickHouseSettings;
  readonly sync: SpoolSync;
  readonly quarantineDir: string;
  readonly logLevel: string;
}

export interface StoreRequest {
  readonly upload: Upload;
  readonly dryRun: boolean;
}

/** What became of an upload. */
export type StoreOutcome =
  /** It exists; `repeated`: as an earlier upload under the same key. */
  | { readonly kind: 'stored'; readonly receipt: Receipt; readonly repeated: boolean }
  | { readonly kind: 'dry-run'; readonly receipt: Receipt }
  | {
      readonly kind: 'refused';
      readonly status: 400 | 413 | 415;
      readonly reason: string;
      readonly line: number | null;
      readonly column: string | number | null;
    }
  /** The key stands for another file. */
  | { readonly kind: 'conflict'; readonly batchId: string }
  /** Nothing can be said or done now. `uncertain`: it may exist all the same; its key tells. */
  | { readonly kind: 'unavailable'; readonly reason: string; readonly uncertain: boolean }
  | { readonly kind: 'cancelled' };

export type Question =
  | { readonly type: 'holder'; readonly keyHash: string }
  | { readonly type: 'store'; readonly request: StoreRequest };

export type ToBatchProcess =
  | { readonly type: 'start'; readonly settings: BatchSettings }
  | { readonly type: 'ask'; readonly number: number; readonly question: Question }
  | { readonly type: 'cancel'; readonly number: number }
  /** See the batches in an edge's folder through; what is not whole there is nobody's. */
  | { readonly type: 'adopt'; readonly edgeDir: string }
  | { readonly type: 'close' };

export type FromBatchProcess =
  | { readonly type: 'holder'; readonly number: number; readonly holder: KeyHolder | null }
  | { readonly type: 'outcome'; readonly number: number; readonly outcome: StoreOutcome }
  | { readonly type: 'failed'; readonly number: number; readonly reason: string }
  | {
      readonly type: 'progress';
      /** Batches that are not confirmed whole. */
      readonly unfinished: number;
      readonly bytes: number;
      /** Put into quarantine by this process. */
      readonly quarantined: number;
    };
