-- As for postback_log: the first merge of blocks makes a compact part, of 400,000 clicks at most. Larger ones stay wide, where a
-- click is looked up for two thirds of the processor time (docs/performance.md).
ALTER TABLE click_log
    MODIFY SETTING min_bytes_for_wide_part = 134217728
