/**
 * Clicks for conversions to name: genuine ids under the instance's own key, of the last day, written straight into the
 * table, because a million clicks by HTTP would only measure clicks once more.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { createCatalogueStore } from '../../src/catalogue/store.ts';
import { createClickIdCodec, SEQUENCE_MAX } from '../../src/domain/click-id.ts';
import { createRedisKeys } from '../../src/redis/keys.ts';
import { OFFER_IDS, visitorIp } from '../load/requests.ts';
import { settle } from './big-data.ts';
import type { Stack } from './stack.ts';

/** No edge of the benchmark has it. */
const EDGE_NUMBER = 1_000;
const SPREAD_MS = 22 * 3_600_000;
const YOUNGEST_MS = 3_600_000;
/** Roll-ups take no hour for settled that was written to within seconds. */
const STORED_AGO_S = 60;
const ROWS_AN_INSERT = 200_000;
const AFFILIATES = 4;

export interface MintedClick {
  readonly clickId: string;
  readonly ms: number;
  readonly offerId: number;
  readonly affiliateId: number;
  readonly ip: string;
}

const COLUMNS =
  'hit_id, hit_time, click_id, click_time, offer_id, affiliate_id, advertiser_id, verdict_code, verdict, title, aff_click_id, sub_id1, ip, chunk_id, chunk_time, chunk_hits, catalogue_version, block_time';

function line({ clickId, ms, offerId, affiliateId, ip }: MintedClick): string {
  const time = (ms / 1000).toFixed(3);
  return JSON.stringify([
    `${clickId.slice(0, 8)}-${clickId.slice(8, 12)}-7${clickId.slice(13, 16)}-8${clickId.slice(17, 20)}-${clickId.slice(20)}`,
    time,
    clickId,
    time,
    offerId,
    affiliateId,
    1,
    0,
    'accepted',
    'Accepted',
    'ac',
    'newsletter',
    ip,
    'minted',
    time,
    0,
    1,
    Math.floor(Date.now() / 1000) - STORED_AGO_S,
  ]);
}

export interface MintedClicks {
  /** The ids, 32 bytes each, one after the other. */
  readonly file: string;
  readonly clicks: readonly MintedClick[];
}

export async function mintClicks(stack: Stack, count: number): Promise<MintedClicks> {
  const store = createCatalogueStore({
    clickhouse: stack.clickhouse,
    redis: stack.redis,
    keys: createRedisKeys(),
    logger: pino({ level: 'silent' }),
  });
  const codec = createClickIdCodec((await store.current()).state.click_id_keys);
  const now = Date.now();
  const clicks = Array.from({ length: count }, (_, index): MintedClick => {
    const ms = now - YOUNGEST_MS - Math.floor(Math.random() * SPREAD_MS);
    const offerId = OFFER_IDS[index % OFFER_IDS.length] ?? OFFER_IDS[0];
    return {
      clickId: codec.mint(ms, offerId, EDGE_NUMBER, index & SEQUENCE_MAX),
      ms,
      offerId,
      affiliateId: 1 + ((index >>> 2) % AFFILIATES),
      ip: visitorIp(index),
    };
  });
  for (let at = 0; at < clicks.length; at += ROWS_AN_INSERT)
    await stack.clickhouse.insert(
      `INSERT INTO click_log (${COLUMNS}) FORMAT JSONCompactEachRow`,
      `${clicks
        .slice(at, at + ROWS_AN_INSERT)
        .map(line)
        .join('\n')}\n`,
    );
  await settle(stack.clickhouse);
  const file = join(stack.dataDir, 'click-ids');
  writeFileSync(file, clicks.map(({ clickId }) => clickId).join(''));
  return { file, clicks };
}
