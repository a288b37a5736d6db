-- Batches, one row each, written before their lines: whoever has the row of a claim is the batch of that idempotency key.
CREATE TABLE IF NOT EXISTS {private}.batches
(
    batch_id String COMMENT 'The batch, a UUIDv7',
    claim String COMMENT 'sha256 of advertiser and idempotency key, or of the batch id where no key was sent',
    advertiser_id UInt32 COMMENT 'Whose offers the lines are for',
    content_hash String COMMENT 'sha256 of the file, unpacked',
    received_at DateTime64(3, 'UTC') COMMENT 'When the upload was whole; hit_time of every line',
    format LowCardinality(String) COMMENT 'csv, ndjson or json',
    lines UInt32 COMMENT 'Lines with content, the header of a CSV file not counted',
    hits UInt32 COMMENT 'Hits made of them',
    rejected_lines UInt32 COMMENT 'Lines that can only become 120',
    receipt String COMMENT 'The answer to the upload, JSON; a second upload under the same key gets the same',
    uploaded_by String COMMENT 'Name of the API key'
)
ENGINE = MergeTree
ORDER BY claim
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Batches of postbacks, one row each'
