-- Attempts to send postbacks to affiliates, one row each; the newest row of a postback says how it stands.
CREATE VIEW IF NOT EXISTS affiliate_postbacks AS
SELECT
    attempt_id,
    attempt_time,
    postback_id,
    attempt,
    outcome,
    final,
    resent_by,
    entry_id,
    transaction_id,
    hit_id,
    event_time,
    offer_id,
    goal_id,
    affiliate_id,
    conv_status,
    method,
    url,
    status_code,
    duration_ms,
    answer,
    error,
    next_attempt_time
FROM affiliate_postback_log
