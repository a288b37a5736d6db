-- turn_release: gives a turn back; who is next keeps the place.
--
-- KEYS[1]  turn of the lane
-- ARGV[1]  who had it
-- Reply    1 given back | 0 it was someone else's by then

if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'holder', 'until')
return 1
