-- Which batch file a call came in, and on which line of it.
ALTER TABLE postback_log
    ADD COLUMN IF NOT EXISTS batch_id String COMMENT 'The batch that the call came in; empty: it came by itself',
    ADD COLUMN IF NOT EXISTS batch_line UInt32 COMMENT 'Line of the batch file: CSV and NDJSON as an editor counts, JSON array the element; 0: no batch'
