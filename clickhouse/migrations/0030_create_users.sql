-- Every version of every user of the console, append-only; the highest version of an id is the user. Only password hashes are stored.
CREATE TABLE IF NOT EXISTS {private}.users
(
    version UInt64 COMMENT 'One number over all users: a change is the next version, so two changes can not both be made on the same state',
    id UInt32 COMMENT 'Constant through changes',
    login String COMMENT 'Sign-in name, small letters',
    name String COMMENT 'Shown name',
    role String COMMENT 'manager, advertiser or affiliate',
    advertiser_id UInt32 COMMENT 'Of an advertiser''s user, else 0',
    affiliate_id UInt32 COMMENT 'Of an affiliate''s user, else 0',
    status String COMMENT 'active or disabled',
    password String COMMENT 'scrypt:N:r:p:salt:hash',
    password_changed_at DateTime64(3, 'UTC') COMMENT 'Sessions begun earlier have ended',
    writer String COMMENT 'Which attempt wrote the version; read back to know who owns it',
    author String COMMENT 'Who changed it',
    changed_at DateTime64(3, 'UTC') COMMENT 'When'
)
ENGINE = MergeTree
ORDER BY (id, version)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Users of the console, append-only'
