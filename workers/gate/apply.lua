-- apply: writes the claims of a committed block, once, and moves the lane's position. Validates and reads first, writes last.
--
-- KEYS[1]  meta of the lane
-- KEYS[2…] state keys
-- ARGV[1]  position that must be applied now
-- ARGV[2]  position of the block
-- ARGV[3]  JSON {offer id → rule signature} that the claims were computed with
-- ARGV[4]  '' for a live lane; the nonce of the rebuild that loads
-- ARGV[5]  JSON array of groups: [kind, key index, first and last field in ARGV, [numbers]]; a transaction is named by its
--          number, from 1. By kind, for each field:
--            0 first:   the transaction that takes it, if it is free
--            1 click:   the first and the last transaction of the block on it
--            2 counter: how many of the block count, and the last of them
-- ARGV[6…] transactions, then fields
-- Reply    {'ok'} | {'position', applied or -1} | {'stale', offer id}

local meta = KEYS[1]
if ARGV[4] == '' then
  local applied = redis.call('HGET', meta, 'applied')
  if not applied then return {'position', '-1'} end
  if applied ~= ARGV[1] then return {'position', applied} end
elseif redis.call('HGET', meta, 'nonce') ~= ARGV[4] then
  return {'position', '-1'}
end
local signatures = cjson.decode(ARGV[3])
for offer, signature in pairs(signatures) do
  local held = redis.call('HGET', meta, 'sig:' .. offer)
  if held and held ~= signature then return {'stale', offer} end
end

-- unpack() is bounded by Lua's stack.
local FIELDS_A_CALL = 2000
local function transaction(number) return ARGV[5 + number] end

-- What becomes of a field: its new value, or nil to leave it.
local function first_value(held, numbers, index)
  if held then return nil end
  return transaction(numbers[index])
end

-- 'first' or 'first|last'
local function click_value(held, numbers, index)
  local first, last = transaction(numbers[2 * index - 1]), transaction(numbers[2 * index])
  if held then
    local bar = string.find(held, '|', 1, true)
    return (bar and string.sub(held, 1, bar - 1) or held) .. '|' .. last
  end
  if first == last then return first end
  return first .. '|' .. last
end

-- 'count|last'
local function counter_value(held, numbers, index)
  local count = held and tonumber(string.sub(held, 1, string.find(held, '|', 1, true) - 1)) or 0
  return string.format('%.0f|%s', count + numbers[2 * index - 1], transaction(numbers[2 * index]))
end

local values = {[0] = first_value, [1] = click_value, [2] = counter_value}

local writes = {}
for _, group in ipairs(cjson.decode(ARGV[5])) do
  local value_of, key, first, to, numbers = values[group[1]], KEYS[group[2]], group[3], group[4], group[5]
  for from = first, to, FIELDS_A_CALL do
    local held = redis.call('HMGET', key, unpack(ARGV, from, math.min(to, from + FIELDS_A_CALL - 1)))
    local write, size = {}, 0
    for index = 1, #held do
      local value = value_of(held[index], numbers, from - first + index)
      if value then
        write[size + 1], write[size + 2] = ARGV[from + index - 1], value
        size = size + 2
      end
    end
    if size > 0 then writes[#writes + 1] = {key, write} end
  end
end

for _, write in ipairs(writes) do redis.call('HSET', write[1], unpack(write[2])) end
for offer, signature in pairs(signatures) do redis.call('HSET', meta, 'sig:' .. offer, signature) end
if ARGV[4] == '' then redis.call('HSET', meta, 'applied', ARGV[2]) end
return {'ok'}
