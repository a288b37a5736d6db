-- Finds the replays of calls without reading the column where there are none.
ALTER TABLE postback_log
    ADD INDEX IF NOT EXISTS replayed_from_minmax replayed_from TYPE minmax GRANULARITY 1
