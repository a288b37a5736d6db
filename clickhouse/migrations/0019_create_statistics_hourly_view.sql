-- The hourly roll-up, newest generation of each hour.
CREATE VIEW IF NOT EXISTS statistics_hourly AS
SELECT
    hour,
    offer_id,
    goal_id,
    affiliate_id,
    advertiser_id,
    country,
    device,
    promo_code,
    currency,
    verdict_code,
    clicks,
    invalid_clicks,
    conversions,
    approved,
    pending,
    rejected,
    hold,
    invalid_traffic,
    payout,
    revenue,
    revenue - payout AS profit
FROM statistics_hourly_rows
WHERE (hour, generation) IN (SELECT hour, max(generation) FROM statistics_hourly_generations GROUP BY hour)
