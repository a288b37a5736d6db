-- Changes of transactions, in order: what each set, and the status before it.
CREATE VIEW IF NOT EXISTS transaction_events AS
SELECT
    hit_id,
    hit_time,
    transaction_id,
    click_id,
    click_time,
    offer_id,
    goal_id,
    affiliate_id,
    advertiser_id,
    endpoint,
    channel,
    conv_status,
    previous_conv_status,
    payout,
    revenue,
    amount,
    currency,
    detail,
    ip,
    user_agent,
    chunk_id,
    catalogue_version
FROM
(
    SELECT
        *,
        lagInFrame(status_after) OVER (PARTITION BY transaction_id ORDER BY position, block_row ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS previous_conv_status
    FROM
    (
        SELECT
            *,
            argMaxIf(conv_status, (position, block_row), conv_status != '') OVER (PARTITION BY transaction_id ORDER BY position, block_row ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS status_after
        FROM postback_log
        WHERE row_kind IN ('conversion', 'change')
          AND transaction_id IN (SELECT transaction_id FROM postback_log WHERE row_kind = 'change')
    )
)
WHERE row_kind = 'change'
