-- As in 0052.
ALTER TABLE postback_log
    MODIFY SETTING merge_selector_base = 12
