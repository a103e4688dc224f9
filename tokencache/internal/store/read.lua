-- read: all there is about some tokens of one client: their records, how long the
-- lease is held, the blocks, and the time. One script, so that
-- they belong together, and so that the clock is that of the node that owns the
-- keys: in a cluster, a TIME of its own would go to any node.
--
-- KEYS  1 lock   2 quota   then of each token: record, floor
-- ARGV  1 the largest record to transfer, bytes   2… fields of the quota's hash
-- Reply now, ms that the lease is held (0 free, -1 without end), the fields, and of each token:
--    issued, expires, sealed, floor
--    what is not there is ''; a record that cannot be one was issued 'damaged'
local time = redis.call('TIME')
local left = redis.call('PTTL', KEYS[1])
if left == -2 then left = 0 elseif left == 0 then left = 1 end -- a key's last millisecond is shown as none
local reply = {
  string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)),
  string.format('%.0f', left),
}

-- What is too large is not ours, and would be as much for each replica.
local fields = redis.pcall('HMGET', KEYS[2], unpack(ARGV, 2))
for i = 1, #ARGV - 1 do
  local field = not fields.err and fields[i] or ''
  reply[#reply + 1] = #field <= 100 and field or ''
end

for i = 3, #KEYS, 2 do
  local record = { '', '', '' }
  local size = redis.pcall('HSTRLEN', KEYS[i], 'sealed')
  if type(size) ~= 'number' or size > tonumber(ARGV[1]) then
    record[1] = 'damaged'
  elseif size > 0 then
    record = redis.call('HMGET', KEYS[i], 'issued', 'expires', 'sealed')
    if #(record[1] or '') > 15 or #(record[2] or '') > 15 then record = { 'damaged' } end
  end
  for j = 1, 3 do reply[#reply + 1] = record[j] or '' end
  local floor = redis.pcall('GET', KEYS[i + 1])
  reply[#reply + 1] = type(floor) == 'string' and #floor <= 15 and string.match(floor, '^%d+$') or ''
end
return reply
