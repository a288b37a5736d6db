-- judge: says what would become of each request of a block, in order. Reads only: each field once, many by one command.
-- Conflicts inside the block are settled in what was read: a request sees what earlier ones of its block would claim.
-- What they would release it still sees as held: it is free from the next block on.
--
-- KEYS[1]  meta of the lane (hash: applied, sig:<offer>)
-- KEYS[2…] state keys
-- ARGV[1]  the position the caller believes is applied
-- ARGV[2]  JSON {offer id → rule signature} of every offer in the block
-- ARGV[3]  JSON [groups, cap sets, requests]; a field is named by its index in ARGV, 0: not asked
--          groups: flat list of key index, first and last field
--          cap sets: each a flat list of field, limit (-1: none)
--          requests: flat list, nine numbers each: mode (0 create, 1 change, 2 change or create, 3 change that releases),
--            target (0 none, -1 stored, -2 of this block but rejected before the gate, n: request n of this block),
--            click, once (0, 1), order, address, track (-1: asked for and missing), cap set, mark of the target's release
-- ARGV[4…] fields
-- Reply    {'position', applied or -1} | {'stale', offer id} | {'ok', JSON array of [number of a request, answer]}
--          A request without an answer is accepted.
--          answer: [1] or [1, transaction] changed | [2] changed and released | [3] changed, released before
--          | [119] | [101|102|103|122, blocking] | [107, cap index, blocking, count]
--          a number in place of a transaction is a request of this block

-- Locals are found faster than globals.
local KEYS, ARGV, call, unpack, min = KEYS, ARGV, redis.call, unpack, math.min
local meta = KEYS[1]
local applied = call('HGET', meta, 'applied')
if not applied then return {'position', '-1'} end
if applied ~= ARGV[1] then return {'position', applied} end

for offer, signature in pairs(cjson.decode(ARGV[2])) do
  local held = call('HGET', meta, 'sig:' .. offer)
  if held and held ~= signature then return {'stale', offer} end
end

local plan = cjson.decode(ARGV[3])
local groups, cap_sets, requests = plan[1], plan[2], plan[3]

-- Field → transaction that holds it, or the number of the request that would; false: free.
local state = {}
-- unpack() is bounded by Lua's stack.
local FIELDS_A_CALL = 2000
for g = 1, #groups, 3 do
  local key, to = KEYS[groups[g]], groups[g + 2]
  for from = groups[g + 1], to, FIELDS_A_CALL do
    local values = call('HMGET', key, unpack(ARGV, from, min(to, from + FIELDS_A_CALL - 1)))
    for index = 1, #values do state[from + index - 1] = values[index] end
  end
end

-- Of clicks: the last claim within this block. Of counters: their count, once it was read.
local last_claim, counts, accepted = {}, {}, {}

-- 'holder', 'holder|count' or 'holder|last|count' → holder
local function holder_of(value)
  if type(value) == 'number' then return value end
  local bar = string.find(value, '|', 1, true)
  return bar and string.sub(value, 1, bar - 1) or value
end

-- The transactions of a click may all be released: then it is known, but free.
local function is_held(value)
  if type(value) ~= 'string' then return value end
  return string.sub(value, -2) ~= '|0'
end

local function last_of(click)
  local claimed = last_claim[click]
  if claimed then return claimed end
  local value = state[click]
  return string.match(value, '^.-|(.-)|%d+$') or value
end

-- 'count|last' → count; state keeps the last
local function count_of(field)
  local count = counts[field]
  if count then return count end
  local value = state[field]
  count = 0
  if value then
    local bar = string.find(value, '|', 1, true)
    count = tonumber(string.sub(value, 1, bar - 1))
    state[field] = string.sub(value, bar + 1)
  end
  counts[field] = count
  return count
end

-- A cap that could not be reached if every request of the block were accepted is neither asked nor counted: nearly all are.
local function caps_matter()
  local most = #requests / 9
  for _, caps in ipairs(cap_sets) do
    for index = 1, #caps, 2 do
      local limit = caps[index + 1]
      if limit >= 0 and limit - count_of(caps[index]) < most then return true end
    end
  end
  return false
end
local counts_caps = caps_matter()
local NO_CAPS = {}

-- The answer about a request; none: it is accepted.
local function decide(number, at)
  local mode, target, click, once = requests[at], requests[at + 1], requests[at + 2], requests[at + 3]
  if mode ~= 0 then
    if target == -2 or (target > 0 and not accepted[target]) then return {119} end
    if target ~= 0 then
      local mark = requests[at + 8]
      if mark > 0 and state[mark] then return {3} end
      if mode ~= 3 then return {1} end
      state[mark] = number
      return {2}
    end
    if click > 0 and state[click] then return {1, last_of(click)} end
    if mode == 1 then return {119} end
  end

  local held = click > 0 and is_held(state[click])
  if once == 1 and held then return {101, holder_of(state[click])} end
  local order, address, track = requests[at + 4], requests[at + 5], requests[at + 6]
  if order > 0 and state[order] then return {122, holder_of(state[order])} end
  if address > 0 and state[address] then return {102, holder_of(state[address])} end
  if track == -1 then return {103, ''} end
  if track > 0 and state[track] then return {103, holder_of(state[track])} end
  local caps = counts_caps and cap_sets[requests[at + 7]] or NO_CAPS
  for index = 1, #caps, 2 do
    local limit = caps[index + 1]
    if limit >= 0 then
      local count = count_of(caps[index])
      if count >= limit then return {107, (index - 1) / 2, state[caps[index]] or '', count} end
    end
  end

  if click > 0 then
    if not held then state[click] = number end
    last_claim[click] = number
  end
  if order > 0 then state[order] = number end
  if address > 0 then state[address] = number end
  if track > 0 then state[track] = number end
  for index = 1, #caps, 2 do
    local field = caps[index]
    counts[field] = count_of(field) + 1
    state[field] = number
  end
  accepted[number] = true
end

local answers, number = {}, 0
for at = 1, #requests, 9 do
  number = number + 1
  local answer = decide(number, at)
  if answer then answers[#answers + 1] = {number, answer} end
end
-- Of an empty table nobody knows that it is a list.
return {'ok', #answers > 0 and cjson.encode(answers) or '[]'}
