-- apply: writes the claims and releases of a committed block, once, and moves the lane's position. Validates and reads first, writes last.
--
-- KEYS[1]  meta of the lane
-- KEYS[2…] state keys
-- ARGV[1]  position that must be applied now
-- ARGV[2]  position of the block
-- ARGV[3]  JSON {offer id → rule signature} that the claims were computed with
-- ARGV[4]  '' for a live lane; the nonce of the rebuild that loads
-- ARGV[5]  JSON [groups, released]; a transaction is named by its number, from 1, 0 is none; released: the transactions that
--          this block frees. A group is [kind, key index, first and last field in ARGV, [numbers]]; by kind, for each field:
--            0 slot:    claims, releases, the first claim that stays
--            1 click:   claims, releases, the first claim that stays, the last claim
--            2 counter: claims, releases, the last claim that stays
--            3 mark:    the change that frees the transaction whose id the field is
--            4 free:    the claim; the field is not read: it was judged free at the position that must be applied now
-- ARGV[6…] transactions, then fields
-- Reply    {'ok'} | {'position', applied or -1} | {'stale', offer id}

-- Locals are found faster than globals.
local KEYS, ARGV, call, unpack, min = KEYS, ARGV, redis.call, unpack, math.min
local meta = KEYS[1]
if ARGV[4] == '' then
  local applied = call('HGET', meta, 'applied')
  if not applied then return {'position', '-1'} end
  if applied ~= ARGV[1] then return {'position', applied} end
elseif call('HGET', meta, 'nonce') ~= ARGV[4] then
  return {'position', '-1'}
end
local signatures = cjson.decode(ARGV[3])
for offer, signature in pairs(signatures) do
  local held = call('HGET', meta, 'sig:' .. offer)
  if held and held ~= signature then return {'stale', offer} end
end

local plan = cjson.decode(ARGV[5])
-- unpack() is bounded by Lua's stack.
local FIELDS_A_CALL = 2000
-- '' for none: a name that is not known is no name.
local function transaction(number) return number > 0 and ARGV[5 + number] or '' end

local released = {}
for _, number in ipairs(plan[2]) do released[transaction(number)] = true end

-- What holds after the block: the one before unless it was released, else the one given.
local function holder_after(held, other)
  if held == '' or released[held] then return transaction(other) end
  return held
end

-- What becomes of a field: its new value, '' to remove it, or nil to leave it.

-- 'holder', or 'holder|count' when several count or the holder's name is not known
local function slot_value(held, numbers, index)
  local holder, count = '', 0
  if held then
    local bar = string.find(held, '|', 1, true)
    holder = bar and string.sub(held, 1, bar - 1) or held
    count = bar and tonumber(string.sub(held, bar + 1)) or 1
  end
  count = math.max(0, count + numbers[3 * index - 2] - numbers[3 * index - 1])
  if count == 0 then return '' end
  holder = holder_after(holder, numbers[3 * index])
  if count == 1 and holder ~= '' then return holder end
  return string.format('%s|%.0f', holder, count)
end

-- 'holder', or 'holder|last|count': last is the newest transaction of the click, also when it was released
local function click_value(held, numbers, index)
  local holder, last, count = '', '', 0
  if held then
    holder, last, count = string.match(held, '^(.-)|(.-)|(%d+)$')
    if holder then count = tonumber(count) else holder, last, count = held, held, 1 end
  end
  count = math.max(0, count + numbers[4 * index - 3] - numbers[4 * index - 2])
  holder = count > 0 and holder_after(holder, numbers[4 * index - 1]) or ''
  if numbers[4 * index] > 0 then last = transaction(numbers[4 * index]) end
  if count == 1 and holder == last then return holder end
  return string.format('%s|%s|%.0f', holder, last, count)
end

-- 'count|last'
local function counter_value(held, numbers, index)
  local last, count = '', 0
  if held then
    local bar = string.find(held, '|', 1, true)
    last, count = string.sub(held, bar + 1), tonumber(string.sub(held, 1, bar - 1))
  end
  count = math.max(0, count + numbers[3 * index - 2] - numbers[3 * index - 1])
  if count == 0 then return '' end
  if numbers[3 * index] > 0 then last = transaction(numbers[3 * index]) end
  return string.format('%.0f|%s', count, released[last] and '' or last)
end

local function mark_value(held, numbers, index)
  if held then return nil end
  return transaction(numbers[index])
end

local values = {[0] = slot_value, [1] = click_value, [2] = counter_value, [3] = mark_value}

local writes, removals = {}, {}

local function change(kind, key, first, to, numbers)
  local value_of = values[kind]
  for from = first, to, FIELDS_A_CALL do
    local held = call('HMGET', key, unpack(ARGV, from, min(to, from + FIELDS_A_CALL - 1)))
    local write, size, removal = {}, 0, {}
    for index = 1, #held do
      local value = value_of(held[index], numbers, from - first + index)
      if value == '' then
        removal[#removal + 1] = ARGV[from + index - 1]
      elseif value then
        write[size + 1], write[size + 2] = ARGV[from + index - 1], value
        size = size + 2
      end
    end
    if size > 0 then writes[#writes + 1] = {key, write} end
    if #removal > 0 then removals[#removals + 1] = {key, removal} end
  end
end

local function claim_free(key, first, to, numbers)
  for from = first, to, FIELDS_A_CALL do
    local write, size = {}, 0
    for at = from, min(to, from + FIELDS_A_CALL - 1) do
      write[size + 1], write[size + 2] = ARGV[at], transaction(numbers[at - first + 1])
      size = size + 2
    end
    writes[#writes + 1] = {key, write}
  end
end

local FREE = 4
for _, group in ipairs(plan[1]) do
  local kind, key, first, to, numbers = group[1], KEYS[group[2]], group[3], group[4], group[5]
  if kind == FREE then claim_free(key, first, to, numbers) else change(kind, key, first, to, numbers) end
end

for _, write in ipairs(writes) do call('HSET', write[1], unpack(write[2])) end
for _, write in ipairs(removals) do call('HDEL', write[1], unpack(write[2])) end
for offer, signature in pairs(signatures) do call('HSET', meta, 'sig:' .. offer, signature) end
if ARGV[4] == '' then call('HSET', meta, 'applied', ARGV[2]) end
return {'ok'}
