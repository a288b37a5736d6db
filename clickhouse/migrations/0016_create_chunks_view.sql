-- Spool chunks as far as they are stored: complete when all their hits are rows.
CREATE VIEW IF NOT EXISTS chunks AS
SELECT
    chunk_id,
    kind,
    chunk_time,
    hits,
    rows,
    rows >= hits AS complete,
    stored_at,
    catalogue_version
FROM
(
    SELECT chunk_id, 'clicks' AS kind, any(click_log.chunk_time) AS chunk_time, any(chunk_hits) AS hits, count() AS rows, max(block_time) AS stored_at, any(click_log.catalogue_version) AS catalogue_version
    FROM click_log
    GROUP BY chunk_id
    UNION ALL
    SELECT chunk_id, 'conversions' AS kind, any(postback_log.chunk_time) AS chunk_time, any(chunk_hits) AS hits, count() AS rows, max(block_time) AS stored_at, any(postback_log.catalogue_version) AS catalogue_version
    FROM postback_log
    GROUP BY chunk_id
)
