-- rebuild_clear: removes state keys of a lane, one step of a rebuild that is ours and stands right before it.
--
-- KEYS[1]  meta of the lane
-- KEYS[2…] keys to remove
-- ARGV[1]  nonce
-- ARGV[2]  steps taken before
-- ARGV[3]  now by Redis' clock, ms
-- Reply    1 | 0 the rebuild is another's, or rolled back

local taken = redis.call('HMGET', KEYS[1], 'nonce', 'step')
if taken[1] ~= ARGV[1] or taken[2] ~= ARGV[2] then return 0 end
for index = 2, #KEYS do redis.call('UNLINK', KEYS[index]) end
redis.call('HSET', KEYS[1], 'step', ARGV[2] + 1, 'progress', ARGV[3])
return 1
