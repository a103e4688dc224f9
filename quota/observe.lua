-- observe: what became of an attempt, and what the answer's header said of the
-- quota. One script, so that a count is taken back, a window learnt and a block
-- set in one step. Replaying it changes nothing: an attempt is settled once, as
-- long as its id is known.
--
-- ARGV  1 attempt id   2 outcome: issued|refused|unsent|unknown   3 age: how long ago the answer came, ms
--       4 dice   5 by   6 status, for people   7 header, for people
--       8 took: how long before the answer it was sent, ms   9 journal length
--       10 number of scopes, then the scopes
--       then the number of limits, then of each: scope bucket length quota remaining left
--           (remaining and left may be '': not said)
--       then the number of blocks, then of each: scope reason wait base cap quorum
--           wait: what the server asked for, or 0; else base doubled with each block in a row, at most cap
--           quorum: '1' if two different replicas must say so
--       then why, for, priority: what admit has journalled
-- Reply {'observed' or 'replayed', now, then of each block that is on: scope, reason, until, count}

local id, outcome, age, dice, by = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local took = tonumber(ARGV[8])
local at = 10
local function arg() at = at + 1 return ARGV[at] end

local scopes = {}
for i = 1, tonumber(ARGV[10]) do scopes[i] = arg() end

local reply = { 'observed', int(now) }
local function tell(scope)
  local b = load_block(scope)
  if b and b.ends > now then
    for _, v in ipairs({ scope, b.reason, int(b.ends), int(b.count) }) do reply[#reply + 1] = v end
  end
end

local a = load_attempt(id)
if a and a.status ~= 'sent' then
  reply[1] = 'replayed'
  for _, scope in ipairs(scopes) do tell(scope) end
  return reply
end
-- What was denied may be granted after this.
for _, name in ipairs({ 'need', 'expiring', 'early', 'forced' }) do
  drop(denied_field(name, true))
  drop(denied_field(name, false))
end
local priority = a and a.priority or 'need'
-- When it was sent, or earlier. One that was sent past Redis was admitted late.
local began = math.min(a and a.at or now, now - age - math.max(took, 0))

-- Take the count back if no token can have been issued for it.
if a and (outcome == 'unsent' or outcome == 'refused') then
  for _, counted in ipairs(a.windows) do
    local w = load_window(counted.field)
    if w and same_window(w.ends, counted.ends, w.length) then
      w.own = math.max(w.own - 1, 0)
      w.used = math.max(w.used - 1, w.own, w.server)
      if priority == 'forced' then w.forced = math.max(w.forced - 1, 0) end
      save_window(w)
    end
  end
  if priority == 'forced' and state['p:forced'] == int(a.at) then drop('p:forced') end
end
local lost = not a -- with Redis' data since it was admitted, or it is not among the last KEEP_ATTEMPTS
a = a or { at = now, priority = priority, windows = {} }
a.status = (outcome == 'unsent' or outcome == 'refused') and 'back' or 'done'
save_attempt(id, a)

-- seen is what a window's field of that name is after a header that shows so many
-- as spent.
local function seen(w, spent)
  if w.server < w.quota then return 1 end
  local answered = math.max(now - age, 2)
  if w.seen < 2 then return answered end
  return spent < w.quota and w.seen or math.min(w.seen, answered)
end

-- Learn from the header. What is used is a lower bound of the truth that only
-- rises: one more for each request of ours, counted before it was sent, and at
-- least what the server shows. So it holds while the server's count lags, and
-- also counts what others use, and ours since that was shown. A window that
-- ended before the one we know is an old answer, and one that ends after it is
-- the next window.
local overrun, spent_before = {}, {}
for _ = 1, tonumber(arg()) do
  local scope, bucket, length = arg(), arg(), tonumber(arg())
  local quota, remaining, left = tonumber(arg()), tonumber(arg()), tonumber(arg())
  local field = 'w:' .. scope .. ':' .. bucket
  local w = load_window(field)
  local ends
  if left then
    ends = now - age + left
  elseif w and now - age < w.ends then
    ends = w.ends
  elseif length > 0 then
    ends = (math.floor((now - age) / length) + 1) * length
  end
  local spent = remaining and math.max(quota - remaining, 0)
  if remaining and remaining < 0 then overrun[scope] = true end
  if ends and ends > now - age then
    local same = w and same_window(ends, w.ends, length)
    local presumed = same and w.seen == 0
    if same then
      if w.seen > 0 and w.server >= w.quota and w.seen <= began then spent_before[scope] = true end
      w.quota, w.length = quota, length
      if presumed then w.ends = ends else w.ends = math.max(w.ends, ends) end
      if spent then
        w.server = math.max(w.server, spent)
        w.used = math.max(w.used, spent)
        w.seen = seen(w, spent)
      end
    elseif not w or ends > w.ends or w.seen == 0 and ends > now then
      w = { field = field, ends = ends, length = length, quota = quota, server = spent or 0, seen = 0 }
      if spent then w.seen = seen(w, spent) end
      w.own, w.forced = own_since(w, id)
      w.used = math.max(w.server, w.own)
    else
      w = nil
    end
    if w then
      -- The jitter is drawn once a window, so everybody waits for the same moment.
      if not same or presumed or not w.open or w.open < w.ends + GUARD then w.open = open_after(w.ends, length, dice) end
      save_window(w)
    end
  end
end

-- Success shows that what was blocked before it was sent is blocked no more.
if outcome == 'issued' then
  for _, scope in ipairs(scopes) do
    local b = load_block(scope)
    if b and b.since <= began then drop('b:' .. scope) end
    drop('r:' .. scope)
    if spent_before[scope] or overrun[scope] then
      -- A token although the server itself had said, before it was asked, that
      -- none was left.
      if mode(scope) ~= 'enforced' then put('m:' .. scope, 'advisory ' .. int(now + STICKY)) end
    end
  end
end

for _ = 1, tonumber(arg()) do
  local scope, reason = arg(), arg()
  local wait, base, cap, quorum = tonumber(arg()), tonumber(arg()), tonumber(arg()), arg() == '1'
  local b = load_block(scope)
  local count = (b and b.count or 0) + 1
  if wait == 0 then wait = math.min(cap, base * 2 ^ math.min(count - 1, 30)) end
  wait = math.min(wait, MAX_BLOCK + SLACK)
  local ends = math.floor(now - age + wait + jitter(wait, dice))
  local confirmed = true
  if quorum then
    -- Trouble that may be this replica's own becomes everybody's when a
    -- second one meets it within ten minutes.
    local who, when = string.match(state['r:' .. scope] or '', '^(%S+) (%d+)$')
    when = natural(when)
    confirmed = when ~= nil and who ~= by and when <= now and now - when < 600000
    if not confirmed then put('r:' .. scope, by .. ' ' .. int(now)) end
  end
  if confirmed then
    if reason == 'quota' then put('m:' .. scope, 'enforced ' .. int(now + STICKY)) end
    if b and b.ends > ends then ends = b.ends end
    -- It is as old as the answer, whenever that is told, and never older than it was.
    local since = math.max(now - age, b and math.min(b.since, now) or 0)
    put('b:' .. scope, int(ends) .. ' ' .. int(since) .. ' ' .. int(count) .. ' ' .. reason)
  end
end
for _, scope in ipairs(scopes) do tell(scope) end

redis.call('PEXPIRE', KEYS[1], KEEP)
if lost and outcome ~= 'unsent' then
  journal(ARGV[9], { 'event', 'asked', 'id', id, 'by', by, 'why', arg(), 'for', arg(), 'priority', arg(), 'ago', int(age + math.max(took, 0)) })
end
journal(ARGV[9], { 'event', 'answered', 'id', id, 'by', by, 'outcome', outcome, 'status', ARGV[6], 'header', ARGV[7], 'took', ARGV[8] })
return reply
