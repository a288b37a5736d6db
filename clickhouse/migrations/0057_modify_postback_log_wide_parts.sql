-- A wide part has two files for each stream of its eighty columns, 370 in all, a compact one 32. Parts were wide from 10 MiB
-- on, the default, so the first merge of blocks already made hundreds of files, and making a file is not cheap where
-- thousands were deleted just before (docs/performance.md). Half a gigabyte, uncompressed, is some 900,000 calls.
ALTER TABLE postback_log
    MODIFY SETTING min_bytes_for_wide_part = 536870912
