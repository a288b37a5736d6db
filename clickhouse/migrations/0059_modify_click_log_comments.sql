-- Partitions follow from the chunk now, not from when its block is written (partitions.ts).
ALTER TABLE click_log
    COMMENT COLUMN block_time 'When the block was written',
    COMMENT COLUMN chunk_time 'When the edge opened that chunk; decides the partition, and is indexed, so that a look-up by chunk is cheap'
