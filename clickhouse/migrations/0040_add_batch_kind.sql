-- What the lines of a batch are, and who asked for it; batches from before there were kinds are postbacks.
ALTER TABLE {private}.batches
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String) DEFAULT 'postbacks' COMMENT 'postbacks, corrections, manual or replay',
    ADD COLUMN IF NOT EXISTS author String COMMENT 'Login or key name of who asked for it'
