-- apply: writes the claims of a committed block, once, and moves the lane's position. Validates first, writes last.
--
-- KEYS[1]  meta of the lane
-- KEYS[2…] state keys named by index in the claims
-- ARGV[1]  position that must be applied now
-- ARGV[2]  position of the block
-- ARGV[3]  JSON {offer id → rule signature} that the claims were computed with
-- ARGV[4]  JSON array of claims: {transaction, clicks key, click, orders key, order, ips key, ip field, tracks key, track,
--          caps key, [field, …]}
-- ARGV[5]  '' for a live lane; the nonce of the rebuild that loads
-- Reply    {'ok'} | {'position', applied or -1} | {'stale', offer id}

local meta = KEYS[1]
if ARGV[5] == '' then
  local applied = redis.call('HGET', meta, 'applied')
  if not applied then return {'position', '-1'} end
  if applied ~= ARGV[1] then return {'position', applied} end
elseif redis.call('HGET', meta, 'nonce') ~= ARGV[5] then
  return {'position', '-1'}
end
local signatures = cjson.decode(ARGV[3])
for offer, signature in pairs(signatures) do
  local held = redis.call('HGET', meta, 'sig:' .. offer)
  if held and held ~= signature then return {'stale', offer} end
end
local claims = cjson.decode(ARGV[4])

for _, c in ipairs(claims) do
  local transaction = c[1]
  if c[3] ~= '' then
    local held = redis.call('HGET', KEYS[c[2]], c[3])
    if held then
      local bar = string.find(held, '|', 1, true)
      local first = bar and string.sub(held, 1, bar - 1) or held
      redis.call('HSET', KEYS[c[2]], c[3], first .. '|' .. transaction)
    else
      redis.call('HSET', KEYS[c[2]], c[3], transaction)
    end
  end
  if c[5] ~= '' then redis.call('HSETNX', KEYS[c[4]], c[5], transaction) end
  if c[7] ~= '' then redis.call('HSETNX', KEYS[c[6]], c[7], transaction) end
  if c[9] ~= '' then redis.call('HSETNX', KEYS[c[8]], c[9], transaction) end
  for _, field in ipairs(c[11]) do
    local held = redis.call('HGET', KEYS[c[10]], field)
    local count = held and tonumber(string.sub(held, 1, string.find(held, '|', 1, true) - 1)) or 0
    redis.call('HSET', KEYS[c[10]], field, (count + 1) .. '|' .. transaction)
  end
end
for offer, signature in pairs(signatures) do redis.call('HSET', meta, 'sig:' .. offer, signature) end
if ARGV[5] == '' then redis.call('HSET', meta, 'applied', ARGV[2]) end
return {'ok'}
