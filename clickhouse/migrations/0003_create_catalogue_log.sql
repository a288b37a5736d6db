-- Every version of every catalogue entity; the authority for versions. In the private database: it holds token hashes.
CREATE TABLE IF NOT EXISTS {private}.catalogue_log
(
    version UInt64 COMMENT 'Catalogue version; all rows of one version are one change',
    kind LowCardinality(String) COMMENT 'advertisers, affiliates, offers, goals, deployments, promo_codes, click_id_keys',
    id String COMMENT 'Identity within the kind; of a deployment offer:affiliate',
    deleted UInt8 COMMENT '1: removed in this version',
    body String COMMENT 'The entity as JSON',
    writer String COMMENT 'Which attempt wrote the version; read back to know who owns it',
    author String COMMENT 'Who changed it: API key name, or the command line',
    changed_at DateTime64(3, 'UTC') COMMENT 'When'
)
ENGINE = MergeTree
ORDER BY (kind, id, version)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Every version of every catalogue entity'
