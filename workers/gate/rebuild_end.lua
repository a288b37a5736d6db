-- rebuild_end: opens the gate at a position, if the rebuild is still ours.
--
-- KEYS[1]  meta of the lane
-- ARGV[1]  nonce
-- ARGV[2]  position that the loaded state has
-- Reply    1 | 0 the rebuild is another's

if redis.call('HGET', KEYS[1], 'nonce') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'nonce', 'progress')
redis.call('HSET', KEYS[1], 'applied', ARGV[2])
return 1
