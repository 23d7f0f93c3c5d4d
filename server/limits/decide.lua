-- Decides N limits at once, or takes reports of what a process holds. Nothing is charged unless everything is.
--
-- KEYS: two for each limit: its counter, and where it is a calendar window's, that of the next window.
-- ARGV: process, number of the request, offset in ms, longest life of what is held in ms, whether to decide, fewest tokens,
--       how long after a holder's end its books may need, then one for each limit, these fields with blanks between:
--   kind       g flows (GCRA), c calendar, s slots
--   a, b, z    g: ms of the window, units that flow back in it, 0.  c: start, end, end of the next window
--   capacity   most units
--   cost       units to charge; flexible: 1 where fewer down to `fewest tokens` will do
--   wish       units beyond it that the process would like to hold ahead of need
--   charged    units that its calls have used for good since it began to count
--   held       units that it holds: free ones, and those of running calls; free: the first part of them
--   serial     of the process's count: another one begins with nothing charged
--   base       what the database says was used in the window, or -1
--   life       ms that what is held counts from now on
-- Answers {word, number, now, then for each limit: window (1 or 2), epoch, used, extra, reset, wait, recall, with blanks
-- between} (epoch: "-" where the counter must be rebuilt; reset: ms until all is free; wait: until what was asked for is):
--   OK      number = tokens charged        NO       number = the limit that refuses
--   WAIT    the same, but others hold free units and were asked for them
--   MISSING number = the counter that must be rebuilt: ask again with its base
--   STALE   the windows are not those of now       OLD    a later request came first: nothing was read of this one
-- A counter is a hash: e epoch, b base, l lost, s settled at the loss, r when to rebuild (c); v debt, a time (g);
-- k when units were recalled; p:<process> = charged, held, free, expiry, number of its last request, serial, zero:
-- what was charged when the counter first heard of the process, which is in the base, or gone.
local FIELDS = '^' .. string.rep('(%S+) ', 13) .. '(%S+)$'
local process, number, offset, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local deciding, fewest, books = ARGV[5] == '1', tonumber(ARGV[6]), tonumber(ARGV[7])
local RECALL = 1000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + offset
local mine = 'p:' .. process
local count = #ARGV - 7

local function text(value) return string.format('%.0f', value) end

local function parse(record)
  local c, h, f, x, n, s, z = string.match(record, '^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  return {
    charged = tonumber(c) - tonumber(z), held = tonumber(h), free = tonumber(f), expiry = tonumber(x),
    number = tonumber(n), serial = s, zero = tonumber(z),
  }
end

local function read(index)
  local kind, a, b, z, capacity, cost, flexible, wish, charged, held, free, serial, base, span =
    string.match(ARGV[7 + index], FIELDS)
  local item = {
    kind = kind, a = tonumber(a), b = tonumber(b), z = tonumber(z), capacity = tonumber(capacity),
    cost = tonumber(cost), flexible = flexible == '1', wish = tonumber(wish), charged = tonumber(charged),
    held = tonumber(held), free = tonumber(free), serial = serial, base = tonumber(base),
    life = tonumber(span),
    window = 1, key = KEYS[index * 2 - 1], extra = 0, recall = 0, zero = 0,
  }
  if item.kind == 'c' and deciding then
    if now < item.a or now >= item.z then return nil end
    if now >= item.b then
      -- The next window has begun: nothing of it is held yet.
      item.window, item.key, item.ends = 2, KEYS[index * 2], item.z
      item.charged, item.held, item.free, item.base = 0, 0, 0, -1
    end
  end
  if item.kind == 'c' then item.ends = item.window == 2 and item.z or item.b end
  return item
end

-- What others hold; those whose time is over are folded away.
local function fold(item)
  item.others_charged, item.others_held, item.others_free, item.gone, item.inherited, item.holders = 0, 0, 0, {}, 0, 1
  local base, lost, ended = tonumber(item.row.b or '0'), tonumber(item.row.l or '0'), false
  for field, record in pairs(item.row) do
    if string.sub(field, 1, 2) == 'p:' and field ~= mine then
      local other = parse(record)
      if other.expiry >= now then
        item.others_charged = item.others_charged + other.charged
        item.others_held = item.others_held + other.held
        item.others_free = item.others_free + other.free
        item.holders = item.holders + 1
      else
        item.gone[#item.gone + 1] = field
        -- What a dead process may have used stays counted: as debt, or until the database knows better.
        if item.kind == 'c' then
          base = base + other.charged + other.held
          if other.held > 0 then lost, ended = lost + other.held, true end
        elseif item.kind == 'g' then item.inherited = item.inherited + other.held * item.a end
      end
    end
  end
  item.row.b, item.lost, item.ended = base, lost, ended
end

local function load(item)
  item.row = {}
  local flat = redis.call('HGETALL', item.key)
  for at = 1, #flat, 2 do item.row[flat[at]] = flat[at + 1] end
  local record = item.row[mine] and parse(item.row[mine])
  if record and record.number >= number then return 'OLD' end
  -- It was there before, and believes itself back in the window before: what it holds here must not be forgotten.
  if record and item.window == 2 and record.serial == item.serial then return 'STALE' end
  item.based = item.row.b ~= nil
  item.debt = tonumber(item.row.v or '0')
  item.known = item.row.e
  if not item.known and item.kind ~= 'c' then item.known = text(now) .. '-' .. process end
  fold(item)
  local before = record and record.charged or 0
  if record and record.serial == item.serial then item.zero = record.zero
  else
    -- What it holds is taken over; what it used before is counted already.
    if record then item.row.b = item.row.b + record.charged end
    before, item.zero = 0, item.charged
  end
  item.charged = item.charged - item.zero
  if item.kind == 'g' then
    -- Never back, should the clock step back.
    item.time = math.max(now, tonumber(item.row.a or '0'))
    local elapsed = item.time - tonumber(item.row.a or text(now))
    item.debt = math.max(0, item.debt - elapsed * item.b)
    item.debt = math.max(0, item.debt + item.inherited + (item.charged - before) * item.a)
  end
end

-- A calendar counter that the database is asked for: new, or put right after a holder's end.
local function rebuild(item)
  local live = item.held + item.others_held
  local settled = item.row.b + item.charged + item.others_charged - item.lost
  if item.ended then item.settled, item.due = settled, now + books
  else item.settled, item.due = tonumber(item.row.s or '0'), tonumber(item.row.r or '0') end
  if item.base < 0 then return end
  if not item.based then
    item.row.b, item.based = item.row.b + item.base, true
    item.known = text(now) .. '-' .. process .. '-' .. text(number)
  elseif item.lost > 0 and now >= item.due then
    local total = item.row.b + item.charged + item.others_charged + live
    local proven = item.base + (settled - item.settled) + live
    item.row.b = item.row.b - math.max(0, total - proven)
    item.lost = 0
  end
end

-- Units of the limit that are taken; a part of one counts as one.
local function used(item)
  if item.kind == 's' then return item.held + item.others_held end
  if item.kind == 'g' then return math.ceil(item.debt / item.a) + item.held + item.others_held end
  return item.row.b + item.charged + item.others_charged + item.held + item.others_held
end

-- In how many ms so many units are free, or -1 for never.
local function wait(item, units)
  if units > item.capacity then return -1 end
  if item.kind == 's' then return 1000 end
  if item.kind == 'c' then
    if item.lost >= used(item) + units - item.capacity then return math.max(1, math.min(item.due, item.ends) - now) end
    return math.max(1, item.ends - now)
  end
  if item.b == 0 then return -1 end
  local over = item.debt + (item.held + item.others_held + units - item.capacity) * item.a
  return math.max(1, math.ceil(over / item.b))
end

local function reset(item)
  if item.kind == 's' then return 0 end
  if item.kind == 'c' then return math.max(0, item.ends - now) end
  if item.b == 0 then return -1 end
  -- What is only held ahead of need is used by nobody.
  local taken = item.held - item.free + item.others_held - item.others_free
  return math.ceil((item.debt + taken * item.a) / item.b)
end

local function save(item)
  if item.kind == 'c' and not item.based and item.held == 0 and not item.row[mine] then return end
  local values = {mine, string.format(
    '%.0f %.0f %.0f %.0f %.0f %s %.0f',
    item.charged + item.zero, item.held, item.free, now + item.life, number, item.serial, item.zero)}
  local function put(field, value) values[#values + 1] = field; values[#values + 1] = value end
  if item.known then put('e', item.known) end
  local keep = life * 2
  if item.kind == 'c' then
    if item.based then put('b', text(item.row.b)) end
    if item.lost > 0 or item.row.l then put('l', text(item.lost)); put('s', text(item.settled)); put('r', text(item.due)) end
    keep = math.max(0, item.ends - now) + 3600000
  elseif item.kind == 'g' then
    put('v', text(item.debt)); put('a', text(item.time))
    if item.b > 0 then keep = keep + math.ceil(item.debt / item.b) else keep = keep + item.a * 60 end
  end
  if item.recalling then put('k', text(now)) end
  redis.call('HSET', item.key, unpack(values))
  if #item.gone > 0 then redis.call('HDEL', item.key, unpack(item.gone)) end
  redis.call('PEXPIRE', item.key, text(keep))
end

local items = {}
for index = 1, count do
  local item = read(index)
  if not item then return {'STALE', index, text(now)} end
  local wrong = load(item)
  if wrong then return {wrong, index, text(now)} end
  if item.kind == 'c' then rebuild(item) end
  items[index] = item
end

-- The decision: fewer tokens where that will do, then all or nothing.
local word, at, tokens, worst = 'OK', 0, -1, 0
if deciding then
  local most = math.huge
  for _, item in ipairs(items) do
    if item.flexible then most = math.min(most, item.capacity - used(item)) end
  end
  for index, item in ipairs(items) do
    if item.flexible and item.cost > 0 then
      item.asked = item.cost
      item.cost = math.min(item.cost, math.max(most, fewest))
      tokens = item.cost
    end
    local short = used(item) + item.cost - item.capacity
    if item.kind == 'c' and not item.based then word, at = 'MISSING', index; break end
    if item.cost > 0 and short > 0 then
      local due = item.kind == 'c' and item.lost > 0 and now >= item.due
      local ms = wait(item, item.cost)
      if due then word, at = 'MISSING', index; break end
      if item.others_free > 0 and ms >= 0 then item.recalling = true end
      -- The limit that takes longest to heal speaks for all.
      local weight = ms < 0 and math.huge or ms
      if word == 'OK' or weight > worst then at, worst = index, weight end
      if word ~= 'NO' then word = item.recalling and 'WAIT' or 'NO' end
      if not item.recalling then word = 'NO' end
    end
  end
end

local answer = {word, at, text(now)}
for _, item in ipairs(items) do
  local recalled = item.recalling or (item.row.k and now - tonumber(item.row.k) < RECALL)
  if recalled then item.recall = 1 end
  if word == 'OK' then
    item.held = item.held + item.cost
    -- Ahead of need only a quarter of the holder's part of what is left, so that the last units go one by one.
    local left = math.floor((item.capacity - used(item)) / (4 * item.holders))
    local open = item.kind ~= 'c' or (item.based and now < item.ends)
    if open and not recalled and item.wish > 0 and left >= item.wish / 4 then
      item.extra = math.min(item.wish, left)
      item.held, item.free = item.held + item.extra, item.free + item.extra
    end
  end
  save(item)
  local pause = word == 'OK' and 0 or wait(item, math.max(1, item.cost))
  answer[#answer + 1] = string.format(
    '%d %s %.0f %.0f %.0f %.0f %d', item.window, item.known or '-', used(item), item.extra, reset(item), pause, item.recall)
end
if word == 'OK' then answer[2] = tokens end
return answer
