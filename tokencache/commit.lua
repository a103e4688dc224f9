-- commit: merge a record into the fleet's. The newer one wins, whoever comes
-- later and however often: a later epoch, then a later expiry. One script, so
-- that nobody's newer record is overwritten between the look and the write, and
-- nobody is told of a record that is not there. It does not ask for the lease:
-- a token that the fleet has paid for is worth keeping, whoever brings it.
--
-- KEYS  1 token   2 epoch
-- ARGV  1 epoch   2 expires, ms by the clock of Redis   3 sealed   4 channel   5 id of the token   6 life of the epoch, ms
--       7 a sealed record that is known to be damaged, and counts as none; '' if there is none
--       8 the largest record there can be, bytes
-- Reply 'stored', 'same' if it was there already, 'older' if a newer one is, 'outdated' if its epoch is over
local function number(s) return s and tonumber(s) end

local epoch, expires = tonumber(ARGV[1]), tonumber(ARGV[2])
local floor = redis.pcall('GET', KEYS[2])
floor = type(floor) == 'string' and string.match(floor, '^%d+$') and #floor <= 15 and tonumber(floor) or 0
if epoch < floor then return 'outdated' end

local e, x
local size = redis.pcall('HSTRLEN', KEYS[1], 'sealed')
if type(size) ~= 'number' or size > tonumber(ARGV[8]) then
  redis.call('DEL', KEYS[1])
elseif size > 0 then
  local current = redis.call('HMGET', KEYS[1], 'epoch', 'expires', 'sealed')
  if current[3] ~= ARGV[7] then e, x = number(current[1]), number(current[2]) end
end
if e and x then
  if epoch == e and expires == x then return 'same' end
  if epoch < e or (epoch == e and expires < x) then return 'older' end
end

redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'expires', ARGV[2], 'sealed', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
if epoch > 0 then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[6]) end
-- Last, and without raising: an account that may not publish has stored it all
-- the same.
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.pcall('PUBLISH', ARGV[4], table.concat({ 'token', ARGV[5], ARGV[1], ARGV[2], now, ARGV[3] }, ' '))
return 'stored'
