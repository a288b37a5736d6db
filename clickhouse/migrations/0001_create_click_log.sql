-- Every click call, valid or not, one row. The clicks and invalid_clicks views read it.
-- Ordered for look-ups by (offer, click time), which a click id yields. Conversions name clicks at random among millions:
-- a look-up reads click_id, attribution and the key alone, in small granules and small compressed blocks.
-- A tokened insert wants the deduplication window.
-- What ignore() names splits nothing: ClickHouse keeps the bounds of a partition key's columns for each part in memory, so that
-- guards and questions of chunks open only parts that can hold what they look for (ADR 0004).
CREATE TABLE IF NOT EXISTS click_log
(
    hit_id String COMMENT 'The hit, a UUIDv7: one call, one id',
    hit_time DateTime64(3, 'UTC') COMMENT 'Receipt at the edge, UTC',
    click_id String COMMENT 'The click id; empty for an invalid click' SETTINGS (min_compress_block_size = 2048),
    click_time DateTime64(3, 'UTC') COMMENT 'Time inside the click id; of an invalid click its receipt' SETTINGS (min_compress_block_size = 2048),
    offer_id UInt32 COMMENT 'Offer; 0: none known' SETTINGS (min_compress_block_size = 2048),
    affiliate_id UInt32 COMMENT 'Affiliate; 0: none known',
    advertiser_id UInt32 COMMENT 'Advertiser of the offer; 0: none known',
    verdict_code UInt16 COMMENT 'Verdict code; 0: accepted',
    verdict LowCardinality(String) COMMENT 'Verdict slug',
    title LowCardinality(String) COMMENT 'Verdict title',
    detail String COMMENT 'What was compared with what',
    hint String COMMENT 'What the call looks like having gone wrong, in plain words; empty: nothing recognised',
    aff_click_id String COMMENT 'The affiliate''s own click id',
    sub_id1 String COMMENT 'Sub id 1 of the click',
    sub_id2 String COMMENT 'Sub id 2 of the click',
    sub_id3 String COMMENT 'Sub id 3 of the click',
    sub_id4 String COMMENT 'Sub id 4 of the click',
    sub_id5 String COMMENT 'Sub id 5 of the click',
    aff_param1 String COMMENT 'Affiliate parameter 1 of the click',
    aff_param2 String COMMENT 'Affiliate parameter 2 of the click',
    aff_param3 String COMMENT 'Affiliate parameter 3 of the click',
    aff_param4 String COMMENT 'Affiliate parameter 4 of the click',
    aff_param5 String COMMENT 'Affiliate parameter 5 of the click',
    deep_link String COMMENT 'deep_link as sent',
    link_id String COMMENT 'link_id as sent',
    creative_id String COMMENT 'creative_id as sent',
    idfa String COMMENT 'Apple advertising id as sent',
    gaid String COMMENT 'Google advertising id as sent',
    source String COMMENT 'source as sent',
    ip String COMMENT 'Address of the caller, after trusted proxies',
    user_agent String COMMENT 'User-Agent header',
    referer String COMMENT 'Referer header',
    country LowCardinality(String) COMMENT 'ISO 3166 code of the visitor''s address; empty: unknown',
    device LowCardinality(String) COMMENT 'desktop, mobile, tablet, tv, bot or empty',
    os LowCardinality(String) COMMENT 'Operating system by the user agent',
    browser LowCardinality(String) COMMENT 'Browser by the user agent',
    method LowCardinality(String) COMMENT 'HTTP method',
    path String COMMENT 'Path as sent',
    query String COMMENT 'Query as sent, token blanked',
    ip_key String COMMENT 'Keyed hash of the address, when addresses are not kept whole; empty: they are',
    attribution String MATERIALIZED toJSONString(tuple(affiliate_id, advertiser_id, if(ip_key = '', ip, ip_key), aff_click_id, source,
        [sub_id1, sub_id2, sub_id3, sub_id4, sub_id5], [aff_param1, aff_param2, aff_param3, aff_param4, aff_param5]))
        COMMENT 'What judging a conversion takes from its click, in one column' SETTINGS (min_compress_block_size = 2048),
    chunk_id String COMMENT 'The spool chunk that brought the hit',
    chunk_time DateTime64(3, 'UTC') COMMENT 'When the edge opened that chunk; indexed, so that a look-up by chunk is cheap',
    chunk_hits UInt32 COMMENT 'Hits in that chunk: it is complete when so many rows have its id',
    catalogue_version UInt64 COMMENT 'Catalogue version the verdict was given under',
    block_time DateTime('UTC') COMMENT 'When the block was written; decides the partition, so that a block is never cut in two',
    INDEX chunk_time_minmax chunk_time TYPE minmax GRANULARITY 16,
    INDEX hit_time_minmax hit_time TYPE minmax GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY (toYYYYMM(block_time), ignore(chunk_time, click_time, hit_time))
ORDER BY (offer_id, click_time)
SETTINGS index_granularity = 256, non_replicated_deduplication_window = 10000
COMMENT 'Every click call, one row each'
