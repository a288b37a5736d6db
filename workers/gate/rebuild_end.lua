-- rebuild_end: opens the gate at a position, if the rebuild is still ours and has taken all of its steps.
--
-- KEYS[1]  meta of the lane
-- ARGV[1]  nonce
-- ARGV[2]  steps taken
-- ARGV[3]  position that the loaded state has
-- Reply    1 | 0 the rebuild is another's, or rolled back

local taken = redis.call('HMGET', KEYS[1], 'nonce', 'step')
if taken[1] ~= ARGV[1] or taken[2] ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'nonce', 'step', 'progress')
redis.call('HSET', KEYS[1], 'applied', ARGV[3])
return 1
