-- judge: says what would become of each request of a block, in order. Reads only.
-- Conflicts inside the block are settled by an overlay: a request sees what earlier ones of its block would claim.
--
-- KEYS[1]  meta of the lane (hash: applied, sig:<offer>)
-- KEYS[2…] state keys named by index in the requests
-- ARGV[1]  the position the caller believes is applied
-- ARGV[2]  JSON {offer id → rule signature} of every offer in the block
-- ARGV[3]  JSON array of requests:
--          {mode, hit, target, clicks key, click, once, orders key, order, unique order, ips key, ip field or '',
--           tracks key, track, unique track, caps key, [[field, limit], …], target is of this block}
-- Reply    {'position', applied or -1} | {'stale', offer id} | {'ok', JSON array of answers}
--          answer: [0] accepted | [1, transaction] changed | [119] | [101|102|103|122, blocking] | [107, cap index, blocking]

local meta = KEYS[1]
local applied = redis.call('HGET', meta, 'applied')
if not applied then return {'position', '-1'} end
if applied ~= ARGV[1] then return {'position', applied} end

for offer, signature in pairs(cjson.decode(ARGV[2])) do
  local held = redis.call('HGET', meta, 'sig:' .. offer)
  if held and held ~= signature then return {'stale', offer} end
end

local overlay = {}
local accepted = {}

local function read(index, field)
  local claims = overlay[index]
  if claims and claims[field] then return claims[field] end
  return redis.call('HGET', KEYS[index], field) or nil
end

local function claim(index, field, value)
  local claims = overlay[index]
  if not claims then
    claims = {}
    overlay[index] = claims
  end
  claims[field] = value
end

-- 'first' or 'first|last' → first, last
local function ends(value)
  local bar = string.find(value, '|', 1, true)
  if not bar then return value, value end
  return string.sub(value, 1, bar - 1), string.sub(value, bar + 1)
end

-- 'count|last' → count, last
local function tally(value)
  local bar = string.find(value, '|', 1, true)
  return tonumber(string.sub(value, 1, bar - 1)), string.sub(value, bar + 1)
end

local function decide(r)
  local mode, hit, target = r[1], r[2], r[3]
  local clicks, click, once = r[4], r[5], r[6]
  local orders, order, unique_order = r[7], r[8], r[9]
  local ips, ip = r[10], r[11]
  local tracks, track, unique_track = r[12], r[13], r[14]
  local caps, limits, in_block = r[15], r[16], r[17]

  if mode ~= 'create' then
    if target ~= '' then
      if in_block and not accepted[target] then return {119} end
      return {1, target}
    end
    local held = click ~= '' and read(clicks, click)
    if held then
      local _, last = ends(held)
      return {1, last}
    end
    if mode == 'change' then return {119} end
  end

  local held_click = click ~= '' and read(clicks, click) or nil
  if once and held_click then
    local first = ends(held_click)
    return {101, first}
  end
  local held_order = order ~= '' and read(orders, order) or nil
  if unique_order and held_order then return {122, held_order} end
  local held_ip = ip ~= '' and read(ips, ip) or nil
  if held_ip then return {102, held_ip} end
  local held_track = track ~= '' and read(tracks, track) or nil
  if unique_track and track == '' then return {103, ''} end
  if unique_track and held_track then return {103, held_track} end
  for index, cap in ipairs(limits) do
    local count, last = 0, ''
    local held = read(caps, cap[1])
    if held then count, last = tally(held) end
    if cap[2] >= 0 and count >= cap[2] then return {107, index - 1, last} end
  end

  if click ~= '' then
    if held_click then
      local first = ends(held_click)
      claim(clicks, click, first .. '|' .. hit)
    else
      claim(clicks, click, hit)
    end
  end
  if order ~= '' and not held_order then claim(orders, order, hit) end
  if ip ~= '' then claim(ips, ip, hit) end
  if track ~= '' and not held_track then claim(tracks, track, hit) end
  for _, cap in ipairs(limits) do
    local held = read(caps, cap[1])
    local count = held and tally(held) or 0
    claim(caps, cap[1], (count + 1) .. '|' .. hit)
  end
  accepted[hit] = true
  return {0}
end

local answers = {}
for index, request in ipairs(cjson.decode(ARGV[3])) do answers[index] = decide(request) end
return {'ok', cjson.encode(answers)}
