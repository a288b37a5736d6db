-- rebuild_clear: removes state keys of a lane while its rebuild is ours.
--
-- KEYS[1]  meta of the lane
-- KEYS[2…] keys to remove
-- ARGV[1]  nonce
-- ARGV[2]  now, ms
-- Reply    1 | 0 the rebuild is another's

if redis.call('HGET', KEYS[1], 'nonce') ~= ARGV[1] then return 0 end
for index = 2, #KEYS do redis.call('UNLINK', KEYS[index]) end
redis.call('HSET', KEYS[1], 'progress', ARGV[2])
return 1
