-- Which generation of an hour counts: inserting here is the roll-up's commit point.
CREATE TABLE IF NOT EXISTS statistics_hourly_generations
(
    hour DateTime('UTC') COMMENT 'Hour of receipt, UTC',
    generation UInt64 COMMENT 'ms when it was computed',
    computed_at DateTime64(3, 'UTC') COMMENT 'Rows written before this are in the generation'
)
ENGINE = MergeTree
ORDER BY (hour, generation)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Committed generations of the hourly roll-up'
