-- Sessions of the console, append-only: one is in force until it expires or a row says it is revoked. Only hashes of tokens are stored.
CREATE TABLE IF NOT EXISTS {private}.sessions
(
    id String COMMENT 'sha256 of the session token, hex',
    user_id UInt32 COMMENT 'Whose',
    created_at DateTime64(3, 'UTC') COMMENT 'When the user signed in',
    expires_at DateTime64(3, 'UTC') COMMENT 'Not in force from here on',
    ip String COMMENT 'Where from',
    user_agent String COMMENT 'With what',
    revoked UInt8 COMMENT '1: signed out',
    changed_at DateTime64(3, 'UTC') COMMENT 'When this row was written'
)
ENGINE = MergeTree
ORDER BY (id, changed_at)
TTL toDateTime(expires_at) + INTERVAL 30 DAY
COMMENT 'Sessions of the console, append-only'
