-- The state of one client's quota, and how to read it. Every script of this
-- package starts with this text; KEYS[1] is the state, KEYS[2] the journal, if
-- there is one. All times are milliseconds of this Redis' own clock, whole
-- numbers far below 2^53. The state is one hash:
--
--   w:<scope>:<bucket>   end length quota server own used forced open seen
--                        (seen: 0 until a header reports this window, 1 after that, or
--                        since when the server reports that nothing is left)
--   b:<scope>            until since count reason
--   a:<attempt>          at sent|done|back priority window|window|…   (window: <field>@<end>)
--   m:<scope>            enforced|advisory until
--   p:<scope>            when the last probe was admitted
--   r:<scope>            which replica reported trouble last, and when
--   d:<priority>         scope reason bucket quota used until count: what was denied
--                        last, until the next answer; with :enforced, to ledgers with
--                        Options.Enforced
--
-- A field that cannot be read, or cannot be true, counts as absent: the state may be
-- lost at any time anyway, and that costs one probe.

local SLACK = 300000             -- how much longer than it could a window or a block may seem
local MAX_BLOCK = 86400000       -- the longest block, less the slack
local GUARD = 2000               -- how long after a window's end the next one is trusted to have begun
local MAX_JITTER = 30000
local STICKY = 7 * 86400000      -- how long "enforced" or "advisory" is believed
local PROBE_EVERY = 300000
local FORCED_EVERY = 900000      -- how often a forced request is admitted while no quota is known
local KEEP = STICKY + 86400000   -- the life of the state, beyond its longest window
local KEEP_ATTEMPTS = 32         -- how many are known by their ids, the last ones

local function int(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- unless_foreign runs a command, unless its key holds what is not ours: some
-- other type, since ours cannot be that. Then it returns nil.
local function unless_foreign(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then
    if string.find(reply.err, 'WRONGTYPE', 1, true) then return nil end
    error(reply.err)
  end
  return reply
end

local state = {}
local flat = unless_foreign('HGETALL', KEYS[1])
local foreign = flat == nil -- whoever writes the state clears this away
for i = 1, #(flat or {}), 2 do state[flat[i]] = flat[i + 1] end

-- put writes a field; drop removes one. Both keep `state` true.
local function put(field, value)
  if foreign then
    redis.call('DEL', KEYS[1])
    foreign = false
  end
  state[field] = value
  redis.call('HSET', KEYS[1], field, value)
end

local function drop(field)
  if state[field] then
    state[field] = nil
    redis.call('HDEL', KEYS[1], field)
  end
end

-- natural reads a number of digits; nil if it has more than any of ours.
local function natural(s) return s and #s <= 15 and string.match(s, '^%d+$') and tonumber(s) or nil end

-- numbers splits a string of whole numbers; nil unless there are n of them.
local function numbers(s, n)
  local out = {}
  for word in string.gmatch(s, '%S+') do
    local v = string.match(word, '^%-?%d+$') and tonumber(word)
    if not v or v < -9e15 or v > 9e15 then return nil end
    out[#out + 1] = v
  end
  if #out ~= n then return nil end
  return out
end

local function load_window(field)
  if not state[field] then return nil end
  local v = numbers(state[field], 9)
  if not v then return nil end
  local w = { field = field, ends = v[1], length = v[2], quota = v[3], server = v[4], own = v[5],
    used = v[6], forced = v[7], open = v[8], seen = v[9] }
  local longest = w.length > 0 and w.length or MAX_BLOCK
  if w.length < 0 or w.length > MAX_BLOCK or w.ends > now + longest + SLACK or w.open > w.ends + GUARD + MAX_JITTER then return nil end
  if w.quota < 0 or w.server < 0 or w.own < 0 or w.forced < 0 or w.seen < 0 or w.used < math.max(w.server, w.own) then return nil end
  return w
end

local function save_window(w)
  put(w.field, table.concat({ int(w.ends), int(w.length), int(w.quota), int(w.server), int(w.own),
    int(w.used), int(w.forced), int(w.open), int(w.seen) }, ' '))
end

-- jitter draws what is added to a wait: never negative, so that no replica comes
-- early. The caller draws the dice (0 to 999,999), so a replay draws the same.
local function jitter(wait, dice)
  return math.floor(math.min(wait / 10, MAX_JITTER) * dice / 1000000)
end

local function open_after(ends, length, dice)
  return ends + GUARD + jitter(length > 0 and length or GUARD, dice)
end

-- windows returns the windows of a scope.
local function windows(scope)
  local out, prefix = {}, 'w:' .. scope .. ':'
  for field in pairs(state) do
    if string.sub(field, 1, #prefix) == prefix and not string.find(field, ':', #prefix + 1, true) then
      local w = load_window(field)
      if w then out[#out + 1] = w end
    end
  end
  table.sort(out, function(a, b) return a.field < b.field end)
  return out
end

local function load_attempt(id)
  local at, status, priority, list = string.match(state['a:' .. id] or '', '^(%d+) (%l+) (%l+) ?(.*)$')
  at = natural(at)
  if not at or at > now + SLACK then return nil end
  local a = { at = at, status = status, priority = priority, windows = {} }
  for field, ends in string.gmatch(list, '([^|]+)@(%d+)') do
    a.windows[#a.windows + 1] = { field = field, ends = natural(ends) or 0 }
  end
  return a
end

local function save_attempt(id, a)
  local list = {}
  for i, w in ipairs(a.windows) do list[i] = w.field .. '@' .. int(w.ends) end
  put('a:' .. id, int(a.at) .. ' ' .. a.status .. ' ' .. a.priority .. ' ' .. table.concat(list, '|'))
end

local function attempts()
  local out = {}
  for field in pairs(state) do
    local id = string.match(field, '^a:(.+)$')
    local a = id and load_attempt(id)
    if a then a.id = id out[#out + 1] = a end
  end
  table.sort(out, function(x, y) return x.at > y.at or (x.at == y.at and x.id > y.id) end)
  return out
end

local function same_window(a, b, length)
  local tolerance = length > 0 and length / 2 or 60000
  return math.abs(a - b) <= tolerance
end

-- counts notes that an attempt without an answer counts in a window, so that it
-- can be taken back there.
local function counts(a, w)
  for _, known in ipairs(a.windows) do
    if known.field == w.field and same_window(known.ends, w.ends, w.length) then return end
  end
  a.windows[#a.windows + 1] = { field = w.field, ends = w.ends }
  save_attempt(a.id, a)
end

-- own_since counts our attempts that a window may count which has just become
-- known: those since it began, those of the last minute before it that have no
-- outcome yet, and the one whose answer reported it. It also returns how many of
-- them were forced.
local function own_since(w, teller)
  local from, n, forced = w.ends - w.length, 0, 0
  for _, a in ipairs(attempts()) do
    if a.status ~= 'back' and (a.at >= from - GUARD or a.id == teller or a.status == 'sent' and a.at > from - 60000) then
      n = n + 1
      if a.priority == 'forced' then forced = forced + 1 end
      if a.status == 'sent' then counts(a, w) end
    end
  end
  return n, forced
end

local function denied_field(priority, enforced) return 'd:' .. priority .. (enforced and ':enforced' or '') end

-- load_block returns the last block of a scope, whether it is on or over. One that
-- would last longer than any block may is not one, and nor is one that begins in the
-- future: the clock of Redis went back, and the server asked for less than is left.
local function load_block(scope)
  local ends, since, count, reason = string.match(state['b:' .. scope] or '', '^(%d+) (%d+) (%d+) (%S+)$')
  local b = { ends = natural(ends), since = natural(since), count = natural(count), reason = reason }
  if not b.ends or not b.since or not b.count then return nil end
  if b.ends > now + MAX_BLOCK + SLACK + MAX_JITTER or b.count > 1e6 or b.since > now + GUARD then return nil end
  return b
end

-- mode returns 'enforced', 'advisory' or 'unknown': whether the server refuses
-- what exceeds the quota. The header does not say; only its deeds do.
local function mode(scope)
  local name, ends = string.match(state['m:' .. scope] or '', '^(%l+) (%d+)$')
  ends = natural(ends)
  if name and ends and ends > now and ends <= now + STICKY then return name end
  return 'unknown'
end

local function journal(length, fields)
  if not KEYS[2] then return end
  if not unless_foreign('XADD', KEYS[2], 'MAXLEN', length, '*', unpack(fields)) then
    redis.call('DEL', KEYS[2])
    redis.call('XADD', KEYS[2], 'MAXLEN', length, '*', unpack(fields))
  end
  redis.call('PEXPIRE', KEYS[2], 35 * 86400000)
end
