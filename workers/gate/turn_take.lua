-- turn_take: takes the turn at a lane when it is free, renews it when it is ours, or queues for it. Advisory: what the log holds decides, not this.
--
-- KEYS[1]  turn of the lane (hash: holder, until, next, next_until)
-- ARGV[1]  who asks
-- ARGV[2]  now, ms
-- ARGV[3]  ms for which a turn is kept
-- ARGV[4]  ms for which the place in the queue is kept; asking again renews it
-- Reply    1 taken | 0 someone else's

local key, me, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local turn = redis.call('HMGET', key, 'holder', 'until', 'next', 'next_until')
local held = turn[1] and tonumber(turn[2]) > now
local mine = held and turn[1] == me
local promised = turn[3] and turn[3] ~= me and tonumber(turn[4]) > now

if not mine then
  if not promised then redis.call('HSET', key, 'next', me, 'next_until', now + ARGV[4]) end
  if held or promised then return 0 end
  redis.call('HDEL', key, 'next', 'next_until')
end
redis.call('HSET', key, 'holder', me, 'until', now + ARGV[3])
redis.call('PEXPIRE', key, ARGV[3])
return 1
