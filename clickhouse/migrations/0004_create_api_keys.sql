-- API keys, append-only: a key is in force while it has no row with revoked = 1. Only hashes are stored.
CREATE TABLE IF NOT EXISTS {private}.api_keys
(
    id String COMMENT 'Public id of the key',
    hash String COMMENT 'sha256 of the key, hex',
    prefix String COMMENT 'First characters, to recognise it by',
    name String COMMENT 'What it is for',
    role String COMMENT 'manager, advertiser or affiliate',
    advertiser_id UInt32 COMMENT 'Of an advertiser key',
    affiliate_id UInt32 COMMENT 'Of an affiliate key',
    revoked UInt8 COMMENT '1: revoked',
    changed_at DateTime64(3, 'UTC') COMMENT 'When'
)
ENGINE = MergeTree
ORDER BY (id, changed_at)
COMMENT 'API keys, append-only'
