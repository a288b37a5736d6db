-- ClickHouse makes statistics of every column when it merges. Of eighty columns they are a tenth to a fifth of a merge
-- (docs/performance.md), and nothing here is joined or filtered by them: the indexes of the table serve its questions.
ALTER TABLE postback_log
    MODIFY SETTING auto_statistics_types = ''
