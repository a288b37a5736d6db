-- As in 0059; here the position decides.
ALTER TABLE postback_log
    COMMENT COLUMN block_time 'When the block was written',
    COMMENT COLUMN position 'Position of the block in its lane, from 1, without gaps; decides the partition'
