-- Merges of fewer, larger steps: half of their processor time under full load (docs/performance.md), for some more parts.
ALTER TABLE click_log
    MODIFY SETTING merge_selector_base = 12
