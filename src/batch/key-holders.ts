/** Whom an API key stands for, as far as uploads need it. Keys are made and revoked by the API; here they are only read. */
import type { ClickHouse } from '../../clickhouse/client.ts';

export interface KeyHolder {
  readonly role: 'manager' | 'advertiser' | 'affiliate';
  readonly name: string;
  readonly advertiserId: number;
}

interface StoredKey {
  readonly hash: string;
  readonly role: KeyHolder['role'];
  readonly name: string;
  readonly advertiser_id: number;
}

/** How long a read of the keys serves: a revocation is in force after it. */
const FRESH_MS = 1_000;

/**
 * Resolves to undefined for a key that is not in force; rejects when ClickHouse does not answer. By the time of day a
 * revoked key would be in force for as long as that was set back.
 */
export function createKeyHolders(clickhouse: ClickHouse, monotonic: () => number) {
  let cached:
    | { readonly readMs: number; readonly keys: ReadonlyMap<string, StoredKey> }
    | undefined;

  async function read(): Promise<ReadonlyMap<string, StoredKey>> {
    const rows = await clickhouse.query<StoredKey>(
      `SELECT any(k.hash) AS hash, any(k.role) AS role, any(k.name) AS name, any(k.advertiser_id) AS advertiser_id
       FROM ${clickhouse.privateDatabase}.api_keys AS k GROUP BY k.id HAVING max(revoked) = 0`,
    );
    cached = { readMs: monotonic(), keys: new Map(rows.map((row) => [row.hash, row])) };
    return cached.keys;
  }

  return async function holderOf(hash: string): Promise<KeyHolder | undefined> {
    const known =
      cached !== undefined && monotonic() - cached.readMs < FRESH_MS ? cached.keys : undefined;
    // A key that was made a moment ago is not wrong: what is not known is always looked up.
    const key = known?.get(hash) ?? (await read()).get(hash);
    return key && { role: key.role, name: key.name, advertiserId: key.advertiser_id };
  };
}
