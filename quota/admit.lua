-- admit: may this token request be sent? If so, count it, before it is sent.
-- One script, so that no other request is admitted between the check and the count.
-- Replaying it changes nothing: an attempt is counted once, under its id, as
-- long as it is among the last KEEP_ATTEMPTS. Later it counts as another one.
--
-- ARGV  1 attempt id   2 priority: need|expiring|early|forced   3 dice
--       4 '1' if the quota is known to be enforced, '0' if that is to be found out
--       5 by   6 why   7 for what   8 journal length
--       9 how many of the scopes have quotas to count, the first ones; then all
--       scopes whose blocks hold the attempt back
-- Reply {'admitted', now, probe '1' or '0'}
--    or {'denied', now, scope, reason, bucket, quota, used, until, count}

local id, priority, dice, enforced = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local counted = tonumber(ARGV[9])
local scopes = {}
for i = 10, #ARGV do scopes[#scopes + 1] = ARGV[i] end

if load_attempt(id) then return { 'admitted', int(now), '0' } end

-- refuse keeps the refusal that lasts longest: coming back earlier is in vain.
local refusal
local function refuse(ends, ...)
  if not refusal or ends > refusal.ends then refusal = { ends = ends, ... } end
end

for _, scope in ipairs(scopes) do
  local b = load_block(scope)
  if b and b.ends > now then refuse(b.ends, scope, b.reason, '', '0', '0', int(b.ends), int(b.count)) end
end
local block = refusal

-- roll turns a window that is over into the next one, presumed empty until a
-- header says otherwise.
local function roll(w)
  if now < w.open then return w end
  if w.length == 0 then drop(w.field) return nil end
  w.ends = w.ends + (math.floor((now - w.ends) / w.length) + 1) * w.length
  w.open = open_after(w.ends, w.length, dice)
  w.server, w.seen = 0, 0
  w.own, w.forced = own_since(w)
  w.used = w.own
  return w
end

-- reserve is how many tokens of a bucket this priority must leave untouched.
local function reserve(w)
  if priority == 'need' or w.length == 0 then return 0 end
  if priority == 'early' then return math.max(1, math.ceil(w.quota / 5)) end
  return w.quota >= 5 and 1 or 0
end

local function forced_budget(w) return math.max(1, math.floor(w.quota / 10)) end

-- verdict returns why this priority may not have one more of w, and until when.
local function verdict(scope, w)
  if priority == 'forced' and w.forced >= forced_budget(w) then return 'forced', w.open end
  local free = w.quota - w.used
  if free > reserve(w) then return nil end
  if free > 0 or priority == 'early' or priority == 'forced' then return 'reserve', w.open end
  local b = load_block(scope)
  if b and b.reason == 'quota' and b.since >= w.ends - w.length - GUARD then
    return nil -- it was refused, and the time to wait that the server gave is over
  end
  local m = enforced and 'enforced' or mode(scope)
  if m == 'enforced' then return 'spent', w.open end
  if m == 'advisory' then return nil end
  -- Nothing left by the header, and no refusal ever seen: the quota may be one
  -- that is only watched. One request finds out.
  local last = tonumber(state['p:' .. scope] or '') or 0
  if last <= now and now < last + PROBE_EVERY then return 'probing', math.min(w.open, last + PROBE_EVERY) end
  return nil, nil, true
end

local probe = false
local mine = {}
for i = 1, counted do
  local scope = scopes[i]
  for _, w in ipairs(windows(scope)) do
    w = roll(w)
    if w then
      local reason, ends, probing = verdict(scope, w)
      if reason then refuse(ends, scope, reason, string.sub(w.field, #scope + 4), int(w.quota), int(w.used), int(ends), '0') end
      probe = probe or probing
      mine[#mine + 1] = w
    end
  end
end
if priority == 'forced' and #mine == 0 then
  -- No window is known, so no budget can be a part of it.
  local last = tonumber(state['p:forced'] or '') or 0
  if last <= now and now < last + FORCED_EVERY then
    refuse(last + FORCED_EVERY, scopes[1], 'forced', '', '0', '0', int(last + FORCED_EVERY), '0')
  end
end
if refusal then
  -- Everybody else is told as well, so that not each has to ask. Blocks can be seen
  -- anyway. If it cannot be written, nothing else changes.
  if refusal ~= block then redis.pcall('HSET', KEYS[1], denied_field(priority, enforced), table.concat(refusal, ' ')) end
  return { 'denied', int(now), unpack(refusal) }
end

local a = { at = now, status = 'sent', priority = priority, windows = {} }
for _, w in ipairs(mine) do
  w.own = w.own + 1
  w.used = w.used + 1
  if priority == 'forced' then w.forced = w.forced + 1 end
  save_window(w)
  a.windows[#a.windows + 1] = { field = w.field, ends = w.ends }
end
if probe then
  for i = 1, counted do put('p:' .. scopes[i], int(now)) end
end
if priority == 'forced' then put('p:forced', int(now)) end

for i, old in ipairs(attempts()) do
  if i >= KEEP_ATTEMPTS then drop('a:' .. old.id) end
end
save_attempt(id, a)
redis.call('PEXPIRE', KEYS[1], KEEP)
journal(ARGV[8], { 'event', 'asked', 'id', id, 'by', ARGV[5], 'why', ARGV[6], 'for', ARGV[7], 'priority', priority })
return { 'admitted', int(now), probe and '1' or '0' }
