-- Every attempt to send a postback to an affiliate, one row each, and every request to send one again.
-- What is still to be sent follows from this table and postback_log. Ordered by the event, which look-ups know.
CREATE TABLE IF NOT EXISTS affiliate_postback_log
(
    attempt_id String COMMENT 'The attempt, a UUID',
    attempt_time DateTime64(3, 'UTC') COMMENT 'When it began, UTC',
    postback_id String COMMENT 'The postback: the same for every attempt of one event and entry, and sent with each',
    attempt UInt16 COMMENT 'Number of the attempt, from 1; a resend counts from 1 again; 0: the request of a resend',
    outcome LowCardinality(String) COMMENT 'sent, retry (failed, will be repeated), failed (for good), refused (must not or need not be sent) or requested (a resend was asked for)',
    final UInt8 COMMENT '1: no attempt follows by itself',
    resent_by String COMMENT 'Login or key name of who had it sent again; empty: sent by itself',
    entry_id UInt32 COMMENT 'The affiliate''s postback entry in the catalogue',
    fanout UInt16 COMMENT 'Postbacks that the event makes',
    transaction_id String COMMENT 'The transaction',
    hit_id String COMMENT 'The event: the call that created or changed the transaction',
    event_time DateTime('UTC') COMMENT 'When the event was stored',
    offer_id UInt32 COMMENT 'Offer',
    goal_id UInt32 COMMENT 'Goal; 0: none',
    affiliate_id UInt32 COMMENT 'Affiliate',
    conv_status LowCardinality(String) COMMENT 'Status that the event gave the transaction',
    method LowCardinality(String) COMMENT 'GET or POST',
    url String COMMENT 'URL as sent, macros filled; empty: nothing was sent',
    status_code UInt16 COMMENT 'Status of the answer; 0: there was none',
    duration_ms UInt32 COMMENT 'From the look-up of the host to the end of the answer, or the failure',
    answer String COMMENT 'The first 500 characters of the answer',
    error String COMMENT 'Why it failed or was refused',
    next_attempt_time Nullable(DateTime64(3, 'UTC')) COMMENT 'When it will be repeated, at the earliest; NULL: it will not',
    block_time DateTime('UTC') COMMENT 'When the row was written',
    INDEX attempt_time_minmax attempt_time TYPE minmax GRANULARITY 1,
    INDEX postback_id_bloom postback_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(block_time)
ORDER BY (event_time, hit_id)
SETTINGS index_granularity = 1024, non_replicated_deduplication_window = 10000
COMMENT 'Every attempt of an affiliate postback, one row each'
