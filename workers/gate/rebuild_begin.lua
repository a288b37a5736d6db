-- rebuild_begin: closes the lane's gate and takes the rebuild under a fresh nonce, unless another one makes progress.
--
-- KEYS[1]  meta of the lane
-- ARGV[1]  nonce
-- ARGV[2]  now by Redis' clock, ms
-- ARGV[3]  ms without progress after which another's rebuild is taken over
-- Reply    1 taken | 0 another one is at it

local meta = KEYS[1]
local progress = redis.call('HGET', meta, 'progress')
-- Progress far ahead of now was made before the clock stepped back.
local live = progress and math.abs(tonumber(ARGV[2]) - tonumber(progress)) < tonumber(ARGV[3])
if redis.call('HGET', meta, 'nonce') and live then return 0 end
redis.call('DEL', meta)
redis.call('HSET', meta, 'nonce', ARGV[1], 'step', 0, 'progress', ARGV[2])
return 1
