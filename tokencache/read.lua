-- read: all that one look tells: the record, how long the lease is held, the
-- blocks, and by which clock. One script, so that they belong together, and so
-- that the clock is that of the node that owns the keys: in a cluster, a TIME of
-- its own would go to any node.
--
-- KEYS  1 token   2 epoch   3 lock   4 quota
-- ARGV  1 the largest record to transfer, bytes   2… fields of the quota's hash
-- Reply {now, epoch, expires, sealed, lowest epoch, ms that the lease is held (0 free, -1 without end), field…}
--    what is not there is ''; a record that cannot be one has the epoch 'damaged'
local time = redis.call('TIME')
local reply = { string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)), '', '', '' }

local size = redis.pcall('HSTRLEN', KEYS[1], 'sealed')
if type(size) ~= 'number' or size > tonumber(ARGV[1]) then
  reply[2] = 'damaged'
elseif size > 0 then
  local record = redis.call('HMGET', KEYS[1], 'epoch', 'expires', 'sealed')
  for i = 1, 3 do reply[i + 1] = record[i] or '' end
end

local floor = redis.pcall('GET', KEYS[2])
reply[5] = type(floor) == 'string' and floor or ''

local left = redis.call('PTTL', KEYS[3])
reply[6] = string.format('%.0f', left == -2 and 0 or left)

if ARGV[2] then
  local fields = redis.pcall('HMGET', KEYS[4], unpack(ARGV, 2))
  for i = 1, #ARGV - 1 do reply[6 + i] = not fields.err and fields[i] or '' end
end
return reply
