-- The roll-up's rows. An hour is written anew under a new generation and replaced whole, never incremented.
CREATE TABLE IF NOT EXISTS statistics_hourly_rows
(
    hour DateTime('UTC') COMMENT 'Hour of receipt, UTC',
    generation UInt64 COMMENT 'When the hour was computed, ms; the newest in statistics_hourly_generations counts',
    offer_id UInt32,
    goal_id UInt32,
    affiliate_id UInt32,
    advertiser_id UInt32,
    country LowCardinality(String),
    device LowCardinality(String),
    promo_code String,
    currency LowCardinality(String),
    verdict_code UInt16,
    clicks UInt64,
    invalid_clicks UInt64,
    conversions UInt64,
    approved UInt64,
    pending UInt64,
    rejected UInt64,
    hold UInt64,
    invalid_traffic UInt64,
    payout Decimal(38, 4),
    revenue Decimal(38, 4)
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, generation, offer_id)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Rows of the hourly roll-up, by generation'
