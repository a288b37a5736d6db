-- rebuild_begin: closes the lane's gate and takes the rebuild under a fresh nonce, unless another one makes progress.
--
-- KEYS[1]  meta of the lane
-- ARGV[1]  nonce
-- ARGV[2]  now, ms
-- ARGV[3]  ms without progress after which another's rebuild is taken over
-- Reply    1 taken | 0 another one is at it

local meta = KEYS[1]
local progress = redis.call('HGET', meta, 'progress')
if redis.call('HGET', meta, 'nonce') and progress and tonumber(ARGV[2]) - tonumber(progress) < tonumber(ARGV[3]) then return 0 end
redis.call('DEL', meta)
redis.call('HSET', meta, 'nonce', ARGV[1], 'progress', ARGV[2])
return 1
