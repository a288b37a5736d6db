/** API keys and who they stand for. Only hashes are stored; a key is shown once, when it is made. */
import { createHash, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto';
import type { ClickHouse } from '../../clickhouse/client.ts';
import { createFreshReads } from '../accounts/fresh-reads.ts';
import type { Principal } from '../reports/principal.ts';

export interface ApiKey {
  readonly id: string;
  readonly prefix: string;
  readonly name: string;
  readonly role: Principal['role'];
  readonly advertiser_id: number;
  readonly affiliate_id: number;
}

interface StoredKey extends ApiKey {
  readonly hash: string;
}

export interface ApiKeys {
  /** The principal of a key, or undefined. Constant time in the key's text. */
  principalOf(key: string): Promise<Principal | undefined>;
  create(
    key: Omit<ApiKey, 'id' | 'prefix'>,
  ): Promise<{ readonly key: string; readonly stored: ApiKey }>;
  list(): Promise<ApiKey[]>;
  /** False when there is no such key. In force here at once, elsewhere within a second. */
  revoke(id: string): Promise<boolean>;
}

/** How long a read of the keys serves: a revocation made elsewhere is in force after it. */
const FRESH_MS = 1_000;
/** The one key of what is read: there are no parts of it. */
const EVERY_KEY = 'every key';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

function sameHash(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function toPrincipal(key: ApiKey): Principal {
  if (key.role === 'advertiser')
    return { role: key.role, name: key.name, advertiserId: key.advertiser_id };
  if (key.role === 'affiliate')
    return { role: key.role, name: key.name, affiliateId: key.affiliate_id };
  return { role: 'manager', name: key.name };
}

export function createApiKeys(
  clickhouse: ClickHouse,
  adminKey: string,
  clock: () => number,
): ApiKeys {
  const table = `${clickhouse.privateDatabase}.api_keys`;
  const adminHash = sha256(adminKey);
  const reads = createFreshReads<readonly StoredKey[]>({
    clock,
    freshMs: FRESH_MS,
    entriesMax: 1,
  });

  const read = (): Promise<readonly StoredKey[]> =>
    reads.get(EVERY_KEY, () =>
      clickhouse.query<StoredKey>(
        `SELECT id, any(k.hash) AS hash, any(k.prefix) AS prefix, any(k.name) AS name, any(k.role) AS role,
           any(k.advertiser_id) AS advertiser_id, any(k.affiliate_id) AS affiliate_id
         FROM ${table} AS k GROUP BY id HAVING max(revoked) = 0 ORDER BY min(changed_at)`,
      ),
    );

  async function write(key: StoredKey, revoked: 0 | 1): Promise<void> {
    try {
      await clickhouse.command(
        `INSERT INTO ${table} SELECT {id:String}, {hash:String}, {prefix:String}, {name:String}, {role:String},
           {advertiser_id:UInt32}, {affiliate_id:UInt32}, {revoked:UInt8}, now64(3)`,
        { ...key, revoked },
      );
    } finally {
      reads.changed(EVERY_KEY);
    }
  }

  return {
    async principalOf(key) {
      const hash = sha256(key);
      if (sameHash(hash, adminHash)) return { role: 'manager', name: 'admin key' };
      const found = (await read()).find((stored) => sameHash(stored.hash, hash));
      return found && toPrincipal(found);
    },
    async create(key) {
      const text = `slk_${randomBytes(24).toString('base64url')}`;
      const stored: StoredKey = {
        ...key,
        id: randomUUID(),
        prefix: text.slice(0, 10),
        hash: sha256(text),
      };
      await write(stored, 0);
      const { hash: _, ...shown } = stored;
      return { key: text, stored: shown };
    },
    async list() {
      return (await read()).map(({ hash: _, ...shown }) => shown);
    },
    async revoke(id) {
      const key = (await read()).find((stored) => stored.id === id);
      if (key === undefined) return false;
      await write(key, 1);
      return true;
    },
  };
}
