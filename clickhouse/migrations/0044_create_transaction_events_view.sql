-- Changes of transactions, in order: who made each, what it set, and what that was before.
CREATE OR REPLACE VIEW transaction_events AS
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
    previous_payout,
    revenue,
    previous_revenue,
    amount,
    previous_amount,
    currency,
    previous_currency,
    notes,
    previous_notes,
    released,
    author,
    detail,
    ip,
    user_agent,
    chunk_id,
    catalogue_version
FROM
(
    SELECT
        *,
        argMaxIf(conv_status, (position, block_row), conv_status != '') OVER before AS previous_conv_status,
        argMaxIf(payout, (position, block_row), isNotNull(payout)) OVER before AS previous_payout,
        argMaxIf(revenue, (position, block_row), isNotNull(revenue)) OVER before AS previous_revenue,
        argMaxIf(amount, (position, block_row), isNotNull(amount)) OVER before AS previous_amount,
        argMaxIf(currency, (position, block_row), currency != '') OVER before AS previous_currency,
        argMaxIf(notes, (position, block_row), notes != '') OVER before AS previous_notes
    FROM postback_log
    WHERE row_kind IN ('conversion', 'change')
      AND transaction_id IN (SELECT transaction_id FROM postback_log WHERE row_kind = 'change')
    WINDOW before AS (PARTITION BY transaction_id ORDER BY position, block_row ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
WHERE row_kind = 'change'
