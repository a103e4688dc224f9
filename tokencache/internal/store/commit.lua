-- commit: merge a record into the fleet's. The newer one wins, in whatever order
-- they come and however often: the one that was issued later, and of those issued
-- at the same time the one that expires later. One script, so that no newer record
-- is overwritten between the check and the write, and no notification carries a
-- record that is not there. It does not check the lease: a token that was paid for
-- is worth keeping, whichever replica brings it.
--
-- KEYS  1 token   2 floor: nothing that was issued before it may be adopted
-- ARGV  1 issued   2 expires, both ms by the clock of Redis   3 sealed   4 channel   5 id of the token   6 life of the floor, ms
--       7 a sealed record that is known to be damaged, and counts as none; '' if there is none
--       8 the largest record there can be, bytes   9 '1' if it replaces all that was issued before
-- Reply 'stored', 'same' if it was there already, 'older' if a newer one is, 'outdated' if it was issued before the floor
local function number(s) return s and #s <= 15 and tonumber(s) end -- longer ones are none of ours

local issued, expires = tonumber(ARGV[1]), tonumber(ARGV[2])
local floor = redis.pcall('GET', KEYS[2])
floor = type(floor) == 'string' and #floor <= 15 and string.match(floor, '^%d+$') and tonumber(floor) or 0
if issued < floor then return 'outdated' end
if ARGV[9] == '1' and issued > floor then redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[6]) end

local i, x
local size = redis.pcall('HSTRLEN', KEYS[1], 'sealed')
if type(size) ~= 'number' or size > tonumber(ARGV[8]) then
  redis.call('DEL', KEYS[1])
elseif size > 0 then
  local current = redis.call('HMGET', KEYS[1], 'issued', 'expires', 'sealed')
  if current[3] ~= ARGV[7] then i, x = number(current[1]), number(current[2]) end
end
if i and x then
  if issued == i and expires == x then return 'same' end
  if issued < i or (issued == i and expires < x) then return 'older' end
end

redis.call('HSET', KEYS[1], 'issued', ARGV[1], 'expires', ARGV[2], 'sealed', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
-- Last, and without raising: an account that may not publish has stored it all
-- the same.
local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))
redis.pcall('PUBLISH', ARGV[4], table.concat({ 'token', ARGV[5], ARGV[1], ARGV[2], now, ARGV[3] }, ' '))
return 'stored'
