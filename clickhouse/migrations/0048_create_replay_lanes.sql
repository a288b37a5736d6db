-- The lane that replays of a call go to, for calls whose offer follows from the catalogue: written before the first of them.
CREATE TABLE IF NOT EXISTS {private}.replay_lanes
(
    position UInt64 COMMENT 'Of the block of this table, from 1, without gaps: whoever has it saw all before it',
    original String COMMENT 'The hit that is replayed',
    lane UInt16 COMMENT 'Where all of its replays that may count are judged'
)
ENGINE = MergeTree
ORDER BY original
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Lanes of replayed calls'
