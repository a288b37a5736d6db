-- Who made a call, what they noted, whether it freed what its transaction claimed, whether affiliates are told of it.
ALTER TABLE postback_log
    ADD COLUMN IF NOT EXISTS author String COMMENT 'Login or key name of who made the call; empty: a tracking call',
    ADD COLUMN IF NOT EXISTS notes String COMMENT 'Notes of who made the call; of a change: the new ones, empty: unchanged',
    ADD COLUMN IF NOT EXISTS released UInt8 COMMENT '1: this change freed what its transaction claimed; the first such change of a transaction counts',
    ADD COLUMN IF NOT EXISTS suppress_postbacks UInt8 COMMENT '1: affiliates are not told of it'
